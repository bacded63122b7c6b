"""fashion: pictures of clothes (Fashion-MNIST, Xiao et al., arXiv 1708.07747), by the networks and losses of `mnist`.

Source      as recipe mnist: R3GAN's loss and penalties (Huang et al., arXiv 2501.05441), networks of our own.
Command     python -m experiments.train --recipe fashion --backend cpu --devices 1 --data-dir DIR

Hardware    one core of an AMD EPYC (AVX-512)
Time        about 400 images/s
Result      not trained to its end yet. A run of 6 epochs on train[10000:] (12 minutes), compared with the first 10,000
            training images by a first extractor of clothes, and in brackets real training images: Frechet 1.01 (.097),
            recall .810 (.940), coverage .909 (.971), within-class pixel std .182 (.194). See docs/lab-log.md.

Deviations from recipe mnist: batches of 64 at 5e-4 instead of 128 at 4e-4, so twice as many updates per image.
"""

from cganjax.training.algorithms.relativistic import RelativisticGAN

CONFIG = RelativisticGAN(
    recipe="fashion",
    dataset="fashion_mnist",
    split="train",
    seed=0,
    steps=937 * 40,  # 40 epochs
    batch_size=64,
    family="depth_to_space",
    generator={"latent_size": 64, "embedding": 64, "hidden": 256, "width_7": 64, "width_14": 64},
    discriminator={"width_14": 32, "width_7": 64, "hidden": 256},
    learning_rate=5e-4,
    decay_from=2 / 3,
    beta1=0.0,
    beta2=0.99,
    gamma_start=1.0,
    gamma_end=0.1,
    gamma_until=0.5,
    penalty_fraction=1.0,
    mismatch_fraction=1 / 16,
    latent_std=0.95,
    ema_decay=0.999,
    log_every=50,
    sample_every=937,
    checkpoint_every=937,
    keep=3,
)
