"""label_score: a conditional GAN whose discriminator has one sigmoid per class: is this a real image of that class?

Source      a course project in PyTorch (2023); architecture and losses as published
Command     python -m experiments.train --recipe label_score --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512); another training ran on the second
Time        7,143 s for 9,875 steps, 10.5 of the 40 epochs, 88 images/s (GLIBC_TUNABLES as in recipe `mnist`)
Result      seed 0, 10,000 samples of balanced labels (experiments.read_back; real test images in brackets): classified
            as the requested digit by lenet5 99.97 % (99.26), by its own D 99.27 % (99.22). Within-class pixel std .108
            (.156): it collapses within classes, after two epochs to .087. D's score is .015 on generated images and
            .085 on real ones; losses D .052, G .287. Shipped as `label-score`, generator and discriminator; grids of
            epochs 1, 2, 5, 10 and the four curves in docs/results/systems/label_score

Deviations from the publication:
1. D's generated batch has latents with random labels; the published code passes a z without a label.
2. gen_steps 1, batch 64 and Adam(2e-4, 0.5, 0.999), which the report does not give; pixels in [-1, 1], the range of the
   tanh.
3. An epoch is 937 batches: the last rows, which fill no batch, are left out; they are other ones in each epoch.
4. Cross-entropy is taken from logits, the same value without overflow. Flax's running variance is the biased one.
5. Samples use the running averages of BatchNorm.
"""

from cganjax.training.algorithms.target import TargetGAN

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
