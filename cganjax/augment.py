"""Random changes of a training batch, as pure functions of a key. Images are [N, H, W, C] in [0, 1]."""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates


def moved(key: jax.Array, images: jax.Array, shift: float, degrees: float, outside: float | None = 0.0) -> jax.Array:
    """Rotate each image about its center by up to `degrees` and shift it by up to `shift` pixels, both uniformly.

    Pixels are interpolated bilinearly. Pixels from outside the image have the value `outside`; if it is None, that of
    the nearest pixel of the image. `ImageSpec.background` is the value that suits the images of a data set.
    """
    mode = {"mode": "nearest"} if outside is None else {"mode": "constant", "cval": outside}
    n, height, width, _ = images.shape
    key_turn, key_shift = jax.random.split(key)
    angles = jnp.deg2rad(jax.random.uniform(key_turn, (n,), minval=-degrees, maxval=degrees))
    shifts = jax.random.uniform(key_shift, (n, 2), minval=-shift, maxval=shift)
    middle = jnp.array([(height - 1) / 2, (width - 1) / 2], jnp.float32)
    rows, columns = jnp.mgrid[:height, :width].astype(jnp.float32) - middle[:, None, None]  # [H, W] each

    def move(image, angle, by):
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        where = [cos * rows - sin * columns + middle[0] + by[0], sin * rows + cos * columns + middle[1] + by[1]]
        return jax.vmap(lambda plane: map_coordinates(plane, where, order=1, **mode), in_axes=-1, out_axes=-1)(image)

    return jax.vmap(move)(images, angles, shifts)


def mirrored(key: jax.Array, images: jax.Array, probability: float) -> jax.Array:
    """Mirror each image left to right with that probability."""
    chosen = jax.random.bernoulli(key, probability, (len(images), 1, 1, 1))
    return jnp.where(chosen, images[:, :, ::-1], images)


def noisy(key: jax.Array, images: jax.Array, noise: float) -> jax.Array:
    """Add uniform noise to each image, of an amplitude that it draws up to `noise`, and clip the result to [0, 1]."""
    key_size, key_noise = jax.random.split(key)
    size = jax.random.uniform(key_size, (len(images), 1, 1, 1), maxval=noise)
    return jnp.clip(images + size * jax.random.uniform(key_noise, images.shape, minval=-1.0), 0.0, 1.0)
