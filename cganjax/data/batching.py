"""Batches: the order of an epoch, an endless stream of batches, and whether a data set suits the networks."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from cganjax.data.record import Dataset
from cganjax.types import Batch, UserError


def epoch_order(key: jax.Array, epoch: int, n: int) -> jax.Array:
    """The order of an epoch: a permutation of 0..n-1, int [n], from the data stream's key and the epoch alone."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), n)


def check_fits(dataset: Dataset, image_shape: tuple[int, ...], batch_size: int) -> None:
    """Raise UserError if the images are not of the shape that networks make, or fill no batch."""
    n, *shape = dataset.images.shape
    if tuple(shape) != tuple(image_shape):
        raise UserError(
            f"{dataset.name} has images of {tuple(shape)}, these networks take {tuple(image_shape)}: "
            "choose another data set or family"
        )
    if n < batch_size:
        raise UserError(
            f"batch_size is {batch_size} but {dataset.name} ({dataset.split}) holds {n} images: "
            f"choose a smaller batch, such as --set batch_size={2 ** (n.bit_length() - 1)}"
        )


def batches(dataset: Dataset, key: jax.Array, batch_size: int, start: int = 0) -> Iterator[Batch]:
    """An endless stream of batches from step `start`, gathered on the device from the whole set as uint8.

    An epoch leaves out its last rows if they do not fill a batch. The order changes with each epoch, so others are left
    out then.
    """
    images, labels = jnp.asarray(dataset.images), jnp.asarray(dataset.labels)
    per_epoch = len(dataset.images) // batch_size

    @jax.jit
    def gather(images, labels, order, i):
        rows = jax.lax.dynamic_slice(order, (i * batch_size,), (batch_size,))
        return Batch(images[rows], labels[rows])

    def stream():
        step = start
        while True:
            epoch, i = divmod(step, per_epoch)
            if i == 0 or step == start:
                order = epoch_order(key, epoch, len(images))
            yield gather(images, labels, order, i)
            step += 1

    return stream()
