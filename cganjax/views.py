"""Random changes of the images that D sees, which G's samples do not inherit. Images are [N, H, W, C] in [-1, 1].

With few training images D memorises them. If each image is changed at random before D sees it, D has more images to
memorise. Real and generated images are changed in the same way, so D compares two distributions of changed images. The
changes do not leak into the samples if these two are equal only when the distributions of unchanged images are equal.
This holds for any change that leaves an image as it is with a probability above 1/2. In practice most changes do not
leak up to a probability of .8 (Karras et al., section 2.2).

All changes are differentiable in the images, so G learns through them. Compare `cganjax.augment`, which changes the
images that a classifier learns from.

References:
  Karras et al., "Training generative adversarial networks with limited data" (arXiv 2006.06676), section 2.2 and
  appendix B; Zhao et al., "Differentiable augmentation for data-efficient GAN training" (arXiv 2006.10738), section 3.
"""

import jax
import jax.numpy as jnp

from cganjax import rng

# The largest sizes of the changes; each is drawn uniformly up to its size.
SHIFT = 1 / 8  # of the side
ZOOM = 0.3  # log2 of the scale
BRIGHTNESS = 0.3  # that is added to pixels in [-1, 1]
CONTRAST = 0.5  # log2 of the factor about mid-grey
SATURATION = 1.0  # log2 of the factor about the grey of each pixel
HOLE = 1 / 2  # of the side: the square that is covered


def changed(key: jax.Array, images: jax.Array, probability: jax.Array | float) -> jax.Array:
    """Move, recolour and cover images: each change happens to each image with this probability, independently.

    Args:
      key: the same key gives the same changes.
      images: float32 [N, H, W, C] in [-1, 1].
      probability: of each change, in [0, 1]. Above .8 samples may inherit the changes.

    Returns:
      float32 [N, H, W, C]; recoloured images may leave [-1, 1].

    >>> images = jax.random.uniform(jax.random.key(0), (2, 8, 8, 1), minval=-1)
    >>> float(abs(changed(jax.random.key(1), images, 0.0) - images).max())
    0.0
    """
    images = moved(rng.stream(key, "move"), images, probability)
    images = recoloured(rng.stream(key, "colour"), images, probability)
    return covered(rng.stream(key, "cover"), images, probability)


def moved(key: jax.Array, images: jax.Array, probability: jax.Array | float) -> jax.Array:
    """Mirror, shift by whole pixels and zoom; what comes in from outside is the image, reflected at its border.

    Rows and columns move independently of each other. So all three are one linear map of the rows and one of the
    columns, of which each output takes one pixel, or two neighbours if it lies between them.
    """
    _, height, width, _ = images.shape
    n = len(images)
    key_mirror, key_down, key_right, key_zoom = jax.random.split(key, 4)
    # As in the paper, a fair coin decides whether an image that may be mirrored is: fewer are mirrored than are not.
    mirror = jnp.where(_drawn(key_mirror, n, probability, 1.0) < 0, -1.0, 1.0)
    down = jnp.round(_drawn(key_down, n, probability, SHIFT * height))
    right = jnp.round(_drawn(key_right, n, probability, SHIFT * width))
    scale = jnp.exp2(_drawn(key_zoom, n, probability, ZOOM))
    rows, columns = _line(height, 1.0 / scale, down), _line(width, mirror / scale, right)
    # Exact on accelerators too, whose default products would round pixels that do not move.
    return jnp.einsum("nyh,nhwc,nxw->nyxc", rows, images, columns, precision=jax.lax.Precision.HIGHEST)


def recoloured(key: jax.Array, images: jax.Array, probability: jax.Array | float) -> jax.Array:
    """Change the saturation (of RGB images), the contrast and the brightness."""
    n = len(images)
    key_saturation, key_contrast, key_brightness = jax.random.split(key, 3)
    if images.shape[-1] > 1:
        saturation = _each(jnp.exp2(_drawn(key_saturation, n, probability, SATURATION)))
        images += (saturation - 1.0) * (images - images.mean(axis=-1, keepdims=True))
    contrast = _each(jnp.exp2(_drawn(key_contrast, n, probability, CONTRAST)))
    return contrast * images + _each(_drawn(key_brightness, n, probability, BRIGHTNESS))


def covered(key: jax.Array, images: jax.Array, probability: jax.Array | float) -> jax.Array:
    """Cover a square of mid-grey, whose center lies anywhere in the image."""
    _, height, width, _ = images.shape
    key_whether, key_where = jax.random.split(key)
    centers = jax.random.uniform(key_where, (len(images), 2))
    rows, columns = (
        jnp.abs(jnp.arange(side, dtype=jnp.float32)[None] + 0.5 - side * centers[:, axis, None]) < HOLE / 2 * side
        for axis, side in enumerate((height, width))
    )
    whether = jax.random.bernoulli(key_whether, probability, (len(images), 1, 1))
    return jnp.where((whether & rows[:, :, None] & columns[:, None])[..., None], 0.0, images)


def _drawn(key: jax.Array, n: int, probability: jax.Array | float, largest: float) -> jax.Array:
    """[n] of U(-largest, largest), each with this probability, else 0."""
    key_whether, key_size = jax.random.split(key)
    sizes = jax.random.uniform(key_size, (n,), minval=-largest, maxval=largest)
    return jnp.where(jax.random.bernoulli(key_whether, probability, (n,)), sizes, 0.0)


def _line(side: int, stretch: jax.Array, shift: jax.Array) -> jax.Array:
    """What each output pixel of a line takes of each input pixel: [N, side, side], from stretch and shift [N]."""
    last = side - 1
    places = jnp.arange(side, dtype=jnp.float32)[None]
    source = last / 2 + stretch[:, None] * (places - last / 2) - shift[:, None]  # [N, side]
    source = last - jnp.abs(last - jnp.abs(source))  # reflected at both ends
    return jnp.maximum(0.0, 1.0 - jnp.abs(source[:, :, None] - places[:, None]))


def _each(values: jax.Array) -> jax.Array:
    return values[:, None, None, None]
