"""The three scales of a pixel, and the only functions that convert one into another.

At rest: uint8 in 0..255. Inside GANs: float32 in [-1, 1]. In the public API, for classifiers and in attacks: float32 in
[0, 1]. Whether ink is the lowest or the highest value is no matter of scale: `ImageSpec.polarity` says it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import checks
from cganjax.types import BadArgument


def rest_to_signed(images: jax.Array) -> jax.Array:
    """uint8 in 0..255, or float32 in [0, 1] as some data sets are at rest -> float32 in [-1, 1]."""
    if images.dtype != np.uint8:
        return unit_to_signed(images)
    return images.astype(jnp.float32) / 127.5 - 1.0


def rest_to_unit(images):
    """uint8 in 0..255 -> float32 in [0, 1], for NumPy and JAX arrays; floats are in [0, 1] already."""
    return images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images


def signed_to_unit(images: jax.Array) -> jax.Array:
    """[-1, 1] -> [0, 1]."""
    return images * 0.5 + 0.5


def unit_to_signed(images: jax.Array) -> jax.Array:
    """[0, 1] -> [-1, 1]."""
    return images * 2.0 - 1.0


def unit_to_rest(images: np.ndarray) -> np.ndarray:
    """[0, 1] -> uint8 in 0..255, rounded and clipped, on the host."""
    return np.round(np.clip(np.asarray(images), 0.0, 1.0) * 255.0).astype(np.uint8)


def check_unit(images: Any, shape: tuple[int, ...] | None = None) -> np.ndarray | jax.Array:
    """Images as float32 [N, H, W, C] in [0, 1], N at least 1; of a tracer the shape and the dtype are checked.

    Args:
      images: floats. Integers are refused: uint8 in 0..255 looks like an image of ink, whatever it shows.
      shape: (H, W, C), if only one will do.

    Raises:
      BadArgument: another shape or dtype, NaN, or values out of range, with what they look like.
    """
    size = "[N, H, W, C]" if shape is None else f"[N, {', '.join(map(str, shape))}]"
    expected = f"floats {size} in [0, 1]"
    images = checks.array("images", images, expected)
    if images.ndim != 4 or images.size == 0 or (shape is not None and images.shape[1:] != tuple(shape)):
        raise BadArgument(f"images have shape {images.shape}: expected {size}, at least one")
    traced, floats = isinstance(images, jax.core.Tracer), jnp.issubdtype(images.dtype, jnp.floating)
    if not traced and (floats or jnp.issubdtype(images.dtype, jnp.integer)):
        # On a CPU by NumPy, which compiles nothing for a new number of images.
        there = isinstance(images, jax.Array) and images.devices().pop().platform != "cpu"
        values = images if there else np.asarray(images)
        _check_range(float(values.min()), float(values.max()))
    if not floats:
        raise BadArgument(f"images are {images.dtype}: expected {expected} (of uint8 in 0..255: divide by 255)")
    return images.astype(np.float32)


def _check_range(low: float, high: float) -> None:
    if low >= 0.0 and high <= 1.0:
        return  # never where they are NaN
    likely = "they hold NaN" if np.isnan(low) else "scale them"
    if -1 <= low < 0 and high <= 1:
        likely = "they look like [-1, 1]: take x / 2 + 0.5"
    elif low >= 0 and 1 < high <= 255:
        likely = "they look like 0..255: divide by 255"
    raise BadArgument(f"images lie in [{low:g}, {high:g}]: expected [0, 1] ({likely})")
