"""pattern_1010: the smallest GAN there is learns to make four pixels bright, dark, bright, dark.

Source      a PyTorch tutorial; networks, loss, optimiser and rounds as published
Command     python -m experiments.pattern_1010 (both experiments, 1,000 seeds); or, as any recipe,
            python -m experiments.train --recipe pattern_1010
"""

from cganjax.config import TargetGAN

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
