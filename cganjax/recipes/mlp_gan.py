"""mlp_gan: the plain, unconditional GAN of linear layers.

Source      a course paper, in PyTorch; architecture, objective and optimiser as published
Command     python -m experiments.train --recipe mlp_gan --backend gpu --data-dir DIR
            (on a CPU --stop-after 9370 is ten epochs); sheets of 100 samples before training and every ten epochs, so
            at the published 10, 100, 300, 400 and 500: samples/009370.png, 093700, 281100, 374800 and 468500
Hardware    one core of an AMD EPYC (AVX-512); other trainings ran on the second core
Time        2,825 s for ten epochs (9,370 steps), 212 images/s (GLIBC_TUNABLES as in recipe `mnist`); 167 ms a step of
            64 on two idle cores. The 500 epochs have not run: no GPU was available
Result      ten epochs, seed 0: digits of all classes in many styles, a few of them smudged, and specks of single pixels
            around most (docs/results/systems/mlp_gan). The losses settle near 1.14 (G) and 1.19 (D), D's
            mean score at .59 for real images and .41 for generated ones

Deviations from the publication:
1. Trained on the 60,000 images of train: its printout shows 157 batches, about 10,000 images.
2. The learning rate is the printout's 2e-4, not the parser's 0.002. BatchNorm's eps is 0.8, as the published code
   passes it. Lines that this code shows twice are used once.
3. D's update and then G's, through the new D, use the same generated batch; G's loss is -log D(G(z)).
4. Sheets every ten epochs, not every 100 batches.
5. An epoch is 937 batches: the last rows, which fill no batch, are left out; they are other ones in each epoch.
6. Cross-entropy is taken from logits, the same value without overflow. Flax's running variance is the biased one,
   1/64 below PyTorch's. Samples use running averages.
"""

from cganjax.training.algorithms.target import TargetGAN

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
