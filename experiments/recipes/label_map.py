"""label_map: a conditional GAN whose discriminator sees the label as ten maps beside the image.

Source      a course project in PyTorch (2023); architecture, losses and optimiser as published
Command     python -m experiments.train --recipe label_map --backend gpu --data-dir DIR
"""

from cganjax.config import TargetGAN

CONFIG = TargetGAN(
    recipe="label_map",
    dataset="mnist",
    split="train",
    seed=0,
    steps=937 * 100,  # 100 epochs
    batch_size=64,
    family="label_map",
    generator={"latent_size": 100},
    discriminator={},
    loss="bce",
    target="one_hot",
    optimizer="adam",
    learning_rate=2e-4,
    beta1=0.5,
    beta2=0.999,
    gen_steps=1,
    share_fake=True,
    alternate=False,
    log_every=10,
    sample_every=250,
    checkpoint_every=250,
    keep=2,
)
