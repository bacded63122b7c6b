"""The flagship."""

from cganjax.config import Config

CONFIG = Config(
    recipe="mnist",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 20,
    batch_size=128,
    family="depth_to_space",
    generator={"latent_size": 64, "embedding": 64, "hidden": 256, "width_7": 64, "width_14": 64},
    discriminator={"width_14": 32, "width_7": 64, "hidden": 256},
    learning_rate=2e-4,
    decay_from=2 / 3,
    beta1=0.0,
    beta2=0.99,
    gamma_start=1.0,
    gamma_end=0.1,
    gamma_until=0.5,
    penalty_fraction=0.5,
    ema_decay=0.999,
    log_every=50,
    sample_every=468,
    checkpoint_every=468,
    keep=3,
)
