"""mlp_gan: the plain, unconditional GAN of linear layers.

Source      a course paper, in PyTorch; architecture, objective and optimiser as published
Command     python -m experiments.train --recipe mlp_gan --backend cpu --data-dir DIR
"""

from cganjax.config import TargetGAN

CONFIG = TargetGAN(
    recipe="mlp_gan",
    dataset="mnist",
    split="train",
    seed=0,
    steps=937 * 500,  # 500 epochs
    batch_size=64,
    family="mlp_gan",
    generator={"latent_size": 100},
    discriminator={},
    loss="bce",
    target="ones",
    optimizer="adam",
    learning_rate=2e-4,
    beta1=0.5,
    beta2=0.999,
    gen_steps=1,
    share_fake=True,
    alternate=False,
    log_every=100,
    sample_every=937 * 10,
    checkpoint_every=937 * 10,
    keep=2,
)
