"""pattern_1010: a tiny GAN learns to make four pixels bright, dark, bright, dark.

Source      a PyTorch tutorial; networks, loss, optimiser and rounds as published
Command     python -m experiments.pattern_1010 (D alone, the GAN, and the GAN from 1,000 seeds in one call); or, like
            any other recipe, python -m experiments.train --recipe pattern_1010
Hardware    one core of an AMD EPYC (AVX-512), shared with other trainings
Time        4.2 s for the 10,000 rounds, compilation included; 11.9 s for 1,000 seeds of them in one call
Result      seed 0: G makes [.926 .051 .929 .064], D's loss is 0.261 over the last tenth; 99.6 % of seeds 0 to 999 end
            within [0.7, 1] and [0, 0.3] in the right places. D alone answers .778 to real rows and .207 to noise

Deviations from the publication:
1. Images are in [-1, 1] between the networks, as for all generators here; both networks compute in [0, 1].
2. With `experiments.train` the real rows are 10,000 that were drawn once; their order depends on the seed.
"""

from cganjax.training.algorithms.target import TargetGAN

CONFIG = TargetGAN(
    recipe="pattern_1010",
    dataset="pattern_1010",
    split="train",
    seed=0,
    steps=10_000,
    batch_size=1,
    family="pattern_1010",
    generator={"latent_size": 1},
    discriminator={},
    loss="mse",
    target="ones",
    optimizer="sgd",
    learning_rate=0.01,
    beta1=0.0,
    beta2=0.0,
    gen_steps=1,
    share_fake=True,
    alternate=True,
    log_every=100,
    sample_every=1000,
    checkpoint_every=5000,
    keep=2,
)
