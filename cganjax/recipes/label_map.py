"""label_map: a conditional GAN whose discriminator takes the label as ten maps beside the image.

Source      a course project in PyTorch (2023); architecture, losses and optimiser as published
Command     python -m experiments.train --recipe label_map --backend gpu --data-dir DIR --keep best
            (--split all trains on train and test together, 70,000 images, as published; then no test images are
            left for an evaluation)
            Grids every 250 steps (those nearest to the published 1, 5, 10, 25, 50 and 100 epochs: samples/001000.png,
            004750, 009250, 023500, 046750 and 093700); curves of the first epoch and of the first five by
            python -m experiments.curves runs/label_map-s0 --to 937, and --to 4685
Hardware    meant for a GPU, on which it has not run yet; on a CPU --stop-after 300 shows that it works
Time        2,197 s for 300 steps on one core of an AMD EPYC (AVX-512), 9 images/s; other work ran on the same core
Result      after 300 steps strokes and a few digits (docs/results/systems/label_map). D's loss fell from .40 to .05.
            G's rose to .52 at step 60, fell to .38 at step 130 and ended at .54. The result of 100 epochs is not known yet

Deviations from the publication:
1. D's stack between 14x14x32 and 3x3x1024, for which the report gives no widths: 4x4 stride 2 to 256 with LeakyReLU,
   then 3x3 stride 2 without padding to 1024 with BatchNorm and LeakyReLU. D's convolutions have biases.
2. Pixels are in [-1, 1], the range of the tanh. An epoch is 937 batches: the last rows, which fill no batch, are left
   out; they are other ones in each epoch.
3. Cross-entropy is taken from logits, the same value without overflow. Flax's running variance is the biased one.
4. The weights of the lowest generator loss are chosen among the checkpoints (every 250 steps), by the mean loss since
   the checkpoint before. Samples use the running averages of BatchNorm.
"""

from cganjax.training.algorithms.target import TargetGAN

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
