"""digits: the flagship's networks and loss on the 1,500 training digits that scikit-learn contains.

Source      as recipe `mnist`
Command     python -m experiments.train --recipe digits
Hardware    2 cores of an AMD EPYC (AVX-512)
Time        21 s, compilation included
Result      strokes and rough digits in the last grid: it shows that training works; its quality was not measured

Deviations from recipe `mnist`: 120 steps of batch 64, twice the learning rate, a short moving average (0.9).
"""

from cganjax.training.algorithms.relativistic import RelativisticGAN

CONFIG = RelativisticGAN(
    recipe="digits",
    dataset="digits",
    split="train",
    seed=0,
    steps=120,
    batch_size=64,
    family="depth_to_space",
    generator={"latent_size": 64, "embedding": 64, "hidden": 256, "width_7": 64, "width_14": 64},
    discriminator={"width_14": 32, "width_7": 64, "hidden": 256},
    learning_rate=4e-4,
    decay_from=2 / 3,
    beta1=0.0,
    beta2=0.99,
    gamma_start=1.0,
    gamma_end=0.1,
    gamma_until=0.5,
    penalty_fraction=0.5,
    ema_decay=0.9,
    log_every=10,
    sample_every=60,
    checkpoint_every=60,
    keep=2,
)
