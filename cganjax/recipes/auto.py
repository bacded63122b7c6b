"""auto: settings for images that have no recipe of their own, chosen by their size, their classes and their number.

Source      networks, loss and penalties as recipe `mnist_fast` (R3GAN, Huang et al., arXiv 2501.05441)
Command     cganjax train my_images/
Hardware    2 CPU cores
Time        about ten minutes for 500 images of 28x28 or 32x32, with the evaluation; the table says how it grows. It is
            estimated from 0.10 s of one core for each step of 64 images of 28x28, measured beside other work.
Result      500 images of bags, sneakers and trousers of Fashion-MNIST (419 to train on, 81 to test), seed 0, stopped
            at step 3,864 of 6,446. The evaluation that the command ends with, and in brackets real training images:
            accuracy 100 % (98.8), Frechet .119 (.113), precision .975 (.951), recall .975 (1.000). A sample lay nearer
            to a training image than a test image does in 60 % of all pairs; new images would give 50 %.

The rule, for N training images:

1. Training shows G and D 400,000 real images, and 30 more for each of the first 60,000 training images. So small sets
   are shown often: 500 images about 830 times each.
2. A batch has 64 images, or the largest power of two that is at most N / 2.
3. The number of steps is the number of images shown, divided by 64. Smaller batches do not mean more steps.
4. D sees augmented images, real and generated ones, if each training image is shown 300 times or more: then D would
   learn them by heart (docs/lab-log.md). Samples are not augmented.
5. From 20,000 images on the networks have the width of recipe `mnist`, and three quarters of it below.

Training images   Batch     Steps   Augment   Time at 28x28 on 2 cores, estimated
             50      16     6,273      0.30   4 min
            500      64     6,484      0.30   9 min
          2,000      64     7,187      0.00   10 min
         10,000      64    10,937      0.00   14 min
         20,000      64    15,625      0.00   25 min
         60,000      64    34,375      0.00   54 min

The time grows with the number of pixels: 64x64 takes about five times as long as 28x28.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from cganjax.data import Dataset
from cganjax.spec import ImageSpec
from cganjax.training.algorithms.relativistic import RelativisticGAN
from cganjax.types import UserError

FEWEST, FEWEST_OF_A_CLASS = 20, 2  # training images without which there is nothing to learn
LARGEST_BATCH = 64
MANY = 20_000  # training images from which on wider networks pay
OFTEN, AUGMENT = 300, 0.3  # times that an image is shown from which on D needs augmentation, and its probability


def config(dataset: Dataset) -> RelativisticGAN:
    """The settings for a data set. Raises UserError if it is too small to learn from, or no network takes its size."""
    check_enough(dataset)
    spec = dataset.spec
    if spec.height % 4 or spec.width % 4:
        raise UserError(
            f"{dataset.name} has images of {spec.height}x{spec.width} pixels: expected a height and a width that are "
            "divisible by 4; resize the images (pictures of a folder: --size 32)"
        )
    chosen = choose(dataset.spec, len(dataset.images))
    return dataclasses.replace(chosen, dataset=dataset.name, split=dataset.split, size=dataset.size or 0)


def choose(spec: ImageSpec, images: int) -> RelativisticGAN:
    """The settings for so many training images of a spec.

    >>> chosen = choose(ImageSpec(28, 28, 1, ("bag", "shirt", "trouser")), 500)
    >>> chosen.batch_size, chosen.steps, chosen.augment
    (64, 6484, 0.3)
    """
    batch_size = min(LARGEST_BATCH, 2 ** int(np.log2(images / 2)))
    steps = (400_000 + 30 * min(images, 60_000)) // LARGEST_BATCH
    every = max(1, steps // 10)
    family, generator, discriminator = networks(spec, images)
    return RelativisticGAN(
        recipe="auto",
        dataset="",
        split="train",
        seed=0,
        steps=steps,
        batch_size=batch_size,
        family=family,
        generator=generator,
        discriminator=discriminator,
        learning_rate=5e-4,
        decay_from=0.5,
        beta1=0.0,
        beta2=0.99,
        gamma_start=1.0,
        gamma_end=0.1,
        gamma_until=0.5,
        penalty_fraction=1.0,
        mismatch_fraction=1 / 16 if batch_size >= 16 else 0.0,
        ema_decay=0.999,
        augment=AUGMENT if steps * batch_size >= OFTEN * images else 0.0,
        log_every=50,
        sample_every=every,
        checkpoint_every=every,
        keep=3,
    )


def networks(spec: ImageSpec, images: int) -> tuple[str, Mapping[str, int], Mapping[str, int]]:
    """The network family, the settings of G and those of D, for so many training images of a spec."""
    del spec  # this family has grids of half and a quarter of any side
    wide, narrow = (64, 32) if images >= MANY else (48, 24)
    generator = {"latent_size": 64, "embedding": 64, "hidden": 256, "width_7": wide, "width_14": wide}
    return "depth_to_space", generator, {"width_14": narrow, "width_7": wide, "hidden": 256}


def check_enough(dataset: Dataset) -> None:
    """Raise UserError if a data set has too few training images to learn anything from."""
    n, counts = len(dataset.images), np.bincount(dataset.labels, minlength=dataset.num_classes)
    if n < FEWEST:
        raise UserError(
            f"{dataset.name} has {n} images to train on (split {dataset.split}): expected at "
            f"least {FEWEST}, because networks learn nothing from fewer; add images"
        )
    few = int(counts.argmin())
    if counts[few] < FEWEST_OF_A_CLASS:
        name, found = dataset.spec.class_names[few], "no image" if counts[few] == 0 else "one image"
        raise UserError(
            f"{dataset.name} has {found} of class {name!r} to train on (split {dataset.split}): expected at least "
            f"{FEWEST_OF_A_CLASS} of each class; add images, or remove the class"
        )
