"""How many images are generated at once, and calls that generate more."""

from collections.abc import Callable

import jax

from cganjax import parallel

# Sizes that are compiled for: a call is padded to the next one, and a longer call is made in chunks of the last one.
# On a CPU the smallest above 1 is 32, because XLA rounds other batches in another way there, and image i should be
# image i to the bit. Nothing is larger, because the intermediate results of many images are mapped and unmapped at each
# call, and because two halves keep two cores busy.
CHUNKS = (1, 32)
CHUNKS_OF_ACCELERATORS = (1, 64, 256, 1024)  # larger ones keep an accelerator busy


def sizes() -> tuple[int, ...]:
    """The sizes for the device that JAX uses, smallest first."""
    return CHUNKS if jax.default_backend() == "cpu" else CHUNKS_OF_ACCELERATORS


def in_chunks(rows: Callable[[int, int], jax.Array], count: int, *, pad: bool = False) -> jax.Array:
    """Images 0..count-1, no more than the largest size at once.

    Args:
      rows: (start, size) -> images start..start+size-1, an array [size, ...]. Several threads call it.
      count: the number of images, at least 1.
      pad: generate a size that is compiled for, and drop the images from `count` on, which `rows` must then allow.

    Returns:
      The images [count, ...] on the device.
    """
    largest = sizes()[-1]
    if count > largest:
        return parallel.joined(lambda start: rows(start, largest), count, largest)
    size = next(s for s in sizes() if s >= count) if pad else count
    images = rows(0, size)
    return images if count == size else images[:count]  # a slice of all rows would be compiled, too
