"""`sample`: from a key and labels to images. Image i depends on (key, i, label i) only."""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import checks, memory, parallel, pixels
from cganjax.sampling import chunks
from cganjax.sampling.checks import check_count, check_truncation
from cganjax.sampling.loading import load
from cganjax.sampling.records import Generator
from cganjax.types import BadType


def sample(
    key: jax.Array,
    labels: Any = None,
    *,
    n: int | None = None,
    checkpoint: str | os.PathLike | Generator = ckpt.DEFAULT,
    truncation: float | jax.Array = 1.0,
) -> jax.Array:
    """Generate one image for each label.

    Image i depends on (key, i, label i) only: its latent comes from `fold_in(key, i)`. On a CPU image i has the same
    bits whatever the number of images. On accelerators, and under `jit`, `vmap` and `grad`, XLA may round in another
    way for another number of images, so that a pixel may differ by about 1e-5.

    Images are generated in chunks of a few sizes: memory stays bounded for any number of labels, and no number of
    labels is compiled for. Chunks are spread over all local accelerators, unless `jax.default_device` names one. Under
    transformations of JAX all images are generated at once.

    Args:
      key: a typed key, or a legacy uint32 key.
      labels: integers 0..K-1 as any array-like of shape [N], or one integer (N = 1). What they mean is in
        `load(checkpoint).spec.class_names`.
      n: the number of images, for an unconditional checkpoint, which takes no labels.
      checkpoint: a name or a path as for `load`, by default "mnist"; or a loaded generator, as `load(...)` or
        `train(...).generator` gives it.
      truncation: a number in (0, 1] that latents are multiplied by. Below 1 images are more typical and less varied.

    Returns:
      float32 [N, H, W, C] in [0, 1]. Drawings are light on dark (ink = 1) or dark on light (ink = 0), as
      `load(checkpoint).spec.polarity` says; those of the default checkpoint are light on dark.

    Raises:
      ValueError: a label is outside 0..K-1, labels have two dimensions, or truncation is out of range;
        or the images need more memory than is free.
      TypeError: labels or n are not integers, labels were given to an unconditional checkpoint, or n to a conditional;
        or the checkpoint is neither a path nor a generator.
      FileNotFoundError, CheckpointError: see `load`.

    >>> import jax, cganjax
    >>> cganjax.sample(jax.random.key(0), [3, 1, 4]).shape
    (3, 28, 28, 1)
    """
    if isinstance(checkpoint, Generator):
        generator = checkpoint
    elif isinstance(checkpoint, (str, os.PathLike)):
        generator = load(checkpoint)
    else:
        raise BadType(f"checkpoint is {type(checkpoint).__name__}: expected a name, a path or a loaded Generator")
    return sample_from(generator, key, labels, n=n, truncation=truncation)


def sample_from(
    generator: Generator, key, labels=None, *, n=None, truncation=1.0, on_rows=lambda done: None
) -> jax.Array:
    """`sample` with a loaded generator; `on_rows` is called with the number of images done, after each chunk."""
    key, truncation = checks.typed_key(key), check_truncation(truncation)
    if generator.num_classes is None:
        if labels is not None:
            raise BadType("labels were given to an unconditional checkpoint: give n, the number of images")
        count = check_count(n)
    else:
        if n is not None:
            raise BadType(f"n={checks.shown(n)} was given to a conditional checkpoint: give labels, one per image")
        if labels is None:
            raise BadType(f"labels are missing: give an integer from 0 to {generator.num_classes - 1} for each image")
        labels = checks.labels(labels, generator.num_classes)
        count = labels.shape[0]
    if isinstance(count, int):  # not a symbolic size, as of `jax.export`
        memory.check_images(f"the number of images is {count}", count, generator.image_shape)
    if count == 0:
        return jnp.zeros((0, *generator.image_shape), jnp.float32)
    traced = parallel.is_traced((generator.weights, key, labels, truncation))
    truncation = truncation if traced else np.float32(truncation)  # Python's float would be another program
    arguments = (generator.apply, generator.latent_size, generator.weights, key, truncation)
    if traced:
        return _sample(*arguments, jnp.arange(count, dtype=jnp.int32), labels)
    items = np.arange(count, dtype=np.int32)
    return chunks.in_chunks(lambda rows: _sample(*arguments, *rows), (items, labels), on_rows)


def latents(key: jax.Array, n: int, latent_size: int, start: int | jax.Array = 0) -> jax.Array:
    """The latents that `sample` uses for images start..start+n-1: float32 [n, latent_size] ~ N(0, I).

    Image i of `sample(key, labels)` is `generator(latents(key, n, generator.latent_size), labels)[i]`, up to rounding,
    whatever n is.

    >>> import jax
    >>> latents(jax.random.key(0), 3, 64).shape
    (3, 64)
    """
    items = np.arange(n, dtype=np.int32) + start
    return chunks.in_chunks(functools.partial(_latents, latent_size, checks.typed_key(key)), items)


@functools.partial(jax.jit, static_argnums=0)
def _latents(latent_size, key, items):
    one = lambda item: jax.random.normal(jax.random.fold_in(key, item), (latent_size,), jnp.float32)  # noqa: E731
    return jax.vmap(one)(items)  # [N, L]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _sample(apply, latent_size, weights, key, truncation, items, labels):
    z = _latents(latent_size, key, items)
    inputs = () if labels is None else (labels,)
    return pixels.signed_to_unit(apply(weights, z * jnp.asarray(truncation, jnp.float32), *inputs))
