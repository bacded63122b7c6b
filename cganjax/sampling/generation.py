"""`sample`: from a key and labels to images. Image i depends on (key, i, label i) only."""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import checks, memory, pixels, rng
from cganjax.sampling import chunks
from cganjax.sampling.checks import check_count, check_truncation
from cganjax.sampling.loading import load
from cganjax.sampling.records import Generator


def sample(
    key: jax.Array,
    labels: Any = None,
    *,
    n: int | None = None,
    checkpoint: str | os.PathLike | Generator = ckpt.DEFAULT,
    truncation: float | jax.Array = 1.0,
) -> jax.Array:
    """Generate one image for each label.

    Image i depends on (key, i, label i) only: its latent comes from `fold_in(key, i)`. Under `jit`, `vmap` and `grad`
    all images are generated at once. Otherwise they are generated in chunks, so that memory stays bounded for any
    number of labels.

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
        raise TypeError(f"checkpoint is {type(checkpoint).__name__}: expected a name, a path or a loaded Generator")
    return sample_from(generator, key, labels, n=n, truncation=truncation)


def sample_from(generator: Generator, key, labels=None, *, n=None, truncation=1.0) -> jax.Array:
    """`sample` with a loaded generator."""
    key, truncation = checks.typed_key(key), check_truncation(truncation)
    if generator.num_classes is None:
        if labels is not None:
            raise TypeError("labels were given to an unconditional checkpoint: give n, the number of images")
        count = check_count(n)
    else:
        if n is not None:
            raise TypeError(f"n={n!r} was given to a conditional checkpoint: give labels, one per image")
        if labels is None:
            raise TypeError(f"labels are missing: give an integer from 0 to {generator.num_classes - 1} for each image")
        labels = checks.labels(labels, generator.num_classes)
        count = len(labels)
    memory.check_images(f"the number of images is {count}", count, generator.image_shape)
    if count == 0:
        return jnp.zeros((0, *generator.image_shape), jnp.float32)
    if any(isinstance(value, jax.core.Tracer) for value in (key, labels, truncation)):
        return _of_rows(generator, key, labels, 0, count, truncation)
    return _in_chunks(generator, key, labels, count, truncation)


def latents(key: jax.Array, n: int, latent_size: int, start: int | jax.Array = 0) -> jax.Array:
    """The latents that `sample` uses for images start..start+n-1: float32 [n, latent_size] ~ N(0, I).

    Image i of `sample(key, labels)` is `generator(latents(key, n, generator.latent_size), labels)[i]`, up to rounding,
    whatever n is.
    """
    return jax.vmap(lambda k: jax.random.normal(k, (latent_size,), jnp.float32))(
        rng.items(checks.typed_key(key), n, start)
    )


def _in_chunks(generator: Generator, key, labels, count: int, truncation) -> jax.Array:
    labels = None if labels is None else np.asarray(labels)

    def rows(start: int, size: int) -> jax.Array:
        part = None if labels is None else np.zeros(size, np.int32)
        if part is not None:
            rest = labels[start : start + size]
            part[: len(rest)] = rest
        return _of_rows(generator, key, part, np.int32(start), size, np.float32(truncation))

    return chunks.in_chunks(rows, count, pad=True)


def _of_rows(generator: Generator, key, labels, start, count: int, truncation) -> jax.Array:
    """Images start..start+count-1."""
    inputs = () if generator.num_classes is None else (labels,)
    return _sample(generator.apply, generator.latent_size, count, generator.weights, key, start, truncation, *inputs)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sample(apply, latent_size, count, weights, key, start, truncation, *labels):
    z = latents(key, count, latent_size, start)  # [count, L]
    return pixels.signed_to_unit(apply(weights, z * jnp.asarray(truncation, jnp.float32), *labels))
