"""label_score: a conditional GAN whose discriminator scores ten classes, with sigmoids that say which and how real.

Source      a course project in PyTorch (2023); architecture and losses as published
Command     python -m experiments.train --recipe label_score --backend cpu --data-dir DIR
"""

from cganjax.config import TargetGAN

CONFIG = TargetGAN(
    recipe="label_score",
    dataset="mnist",
    split="train",
    seed=0,
    steps=937 * 40,  # 40 epochs
    batch_size=64,
    family="label_score",
    generator={"latent_size": 100},
    discriminator={},
    loss="bce",
    target="one_hot",
    optimizer="adam",
    learning_rate=2e-4,
    beta1=0.5,
    beta2=0.999,
    gen_steps=1,
    share_fake=False,
    alternate=False,
    log_every=50,
    sample_every=937,
    checkpoint_every=937,
    keep=2,
)
