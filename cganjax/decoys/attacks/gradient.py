"""Attacks by gradients: one descent, of which FGSM, BIM, PGD, MI-, DI- and TI-FGSM are settings."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import augment
from cganjax.decoys.attacks import norms
from cganjax.decoys.attacks.norms import Bounds

Objective = Callable[[jax.Array, jax.Array], jax.Array]  # (images, labels [N]) -> [N]; image i decides number i alone


class Descent(NamedTuple):
    """How a descent goes."""

    steps: int = 1
    share: float = 1.0  # length of a step, as a fraction of epsilon
    random_start: bool = False  # begin anywhere within the bounds, not at the clean image
    momentum: float = 0.0  # decay of the sum of the gradients so far
    diversity: float = 0.0  # probability that a step sees an image shrunk by up to an eighth and laid down elsewhere
    views: int = 0  # gradients are averaged over so many views of an image: turned, shifted and noisy, see `view`
    translation: int = 0  # gradients are averaged over shifts of up to so many pixels
    best: bool = True  # return the best image seen, the clean one among them, not the last; not with random views


class _Walk(NamedTuple):
    images: jax.Array  # [N, H, W, C]
    velocity: jax.Array | None  # the same shape; None without momentum
    best: jax.Array  # the images of the lowest objective so far
    lowest: jax.Array  # [N], that objective


def descend(
    keys: jax.Array, objective: Objective, bounds: Bounds, labels: jax.Array, norm: str, settings: Descent
) -> tuple[jax.Array, int]:
    """Lower an objective within bounds by steps along its gradient.

    Args:
      keys: [N], for random starts and input diversity.
      objective: differentiable; its sum over the batch has each image's own gradient, since none sees another.
      labels: int [N], handed on to the objective.
      norm: a key of `norms.NORMS`.

    Returns:
      Images [N, H, W, C] inside the bounds, and how often each was shown to the objective.

    References:
      FGSM: Goodfellow et al. (arXiv 1412.6572), section 4. BIM: Kurakin et al. (1607.02533), section 2.2. PGD: Madry
      et al. (1706.06083), section 2.1. MI-FGSM: Dong et al. (1710.06081), eq. 6 and 7. DI-FGSM: Xie et al.
      (1803.06978), eq. 4. TI-FGSM: Dong et al. (1904.02884), eq. 8. Views: Athalye et al. (1707.07397), eq. 3.
    """
    bounds, labels = jax.tree.map(jnp.asarray, (bounds, labels))  # once, not at each step
    walk = _begin(objective, norm, settings, keys, bounds, labels)
    shown = settings.steps * max(settings.views, 1) + settings.best + (settings.best and settings.random_start)
    # JAX takes a slower way into a compiled function with keys among its arguments: only those who draw get them.
    drawn = keys if settings.views or settings.diversity else None
    alike = settings._replace(steps=1)  # a step is compiled once, whatever their number
    # A loop of Python, not of XLA: its CPU backend has its fast convolutions outside of loops only.
    for i in range(settings.steps):
        walk = _step(objective, norm, alike, drawn, i, bounds, labels, walk)
    return (_last(objective, walk, labels) if settings.best else walk.images), shown


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _begin(objective, norm, settings, keys, bounds, labels):
    images, lowest = bounds.clean, jnp.full(len(bounds.clean), jnp.inf)
    if settings.random_start:
        images = norms.random_start(_folded(keys, settings.steps), norm, bounds)
        if settings.best:
            lowest = objective(bounds.clean, labels)
    return _Walk(images, jnp.zeros_like(images) if settings.momentum else None, bounds.clean, lowest)


def _folded(keys: jax.Array, i: int | jax.Array) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, i))(keys)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _step(objective, norm, settings, keys, i, bounds, labels, walk):
    keys = None if keys is None else _folded(keys, i)

    def seen(images):
        if settings.views:
            return sum(objective(view(_folded(keys, v), images), labels) for v in range(settings.views))
        return objective(diverse(keys, images, settings.diversity) if settings.diversity else images, labels)

    values, pullback = jax.vjp(seen, walk.images)
    (slope,) = pullback(jnp.ones_like(values))
    best, lowest = walk.best, walk.lowest
    if settings.best:
        best, lowest = _better(walk, values)
    if settings.translation:
        slope = smooth(slope, settings.translation)
    if settings.momentum:
        size = jnp.sum(jnp.abs(slope), axis=(1, 2, 3), keepdims=True)
        slope = settings.momentum * walk.velocity + slope / jnp.maximum(size, jnp.finfo(size.dtype).tiny)
    images = norms.move(norm, bounds, walk.images, -slope, settings.share)
    return _Walk(images, slope if settings.momentum else None, best, lowest)


@functools.partial(jax.jit, static_argnums=0)
def _last(objective, walk, labels):
    return _better(walk, objective(walk.images, labels))[0]


def _better(walk: _Walk, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    lower = values < walk.lowest
    return jnp.where(lower[:, None, None, None], walk.images, walk.best), jnp.where(lower, values, walk.lowest)


def diverse(keys: jax.Array, images: jax.Array, probability: float) -> jax.Array:
    """Each image, with that probability, shrunk by up to an eighth and laid down anywhere on the empty canvas."""

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        key_size, key_place, key_whether = jax.random.split(key, 3)
        scale = jax.random.uniform(key_size, minval=7 / 8)
        free = (1.0 - scale) * jnp.array(image.shape[:2], jnp.float32)
        place = free * jax.random.uniform(key_place, (2,))
        small = jax.image.scale_and_translate(
            image, image.shape, (0, 1), jnp.stack([scale, scale]), place, "linear", antialias=False
        )
        return jnp.where(jax.random.bernoulli(key_whether, probability), small, image)

    return jax.vmap(one)(keys, images)


def view(keys: jax.Array, images: jax.Array) -> jax.Array:
    """Each image turned by up to 15 degrees, shifted by up to 1.5 pixels, and with normal noise of std 0.1."""

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        key_move, key_noise = jax.random.split(key)
        moved = augment.moved(key_move, image[None], shift=1.5, degrees=15.0)[0]
        return moved + 0.1 * jax.random.normal(key_noise, image.shape)

    return jax.vmap(one)(keys, images)


def smooth(slope: jax.Array, reach: int) -> jax.Array:
    """Gradients [N, H, W, C] averaged over shifts of up to `reach` pixels, with Gaussian weights of std reach / 2."""
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (reach / 2)) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (1, 2):
        pads = [(reach, reach) if i == axis else (0, 0) for i in range(4)]
        padded = jnp.pad(slope, pads)
        shifted = (jax.lax.slice_in_dim(padded, i, i + slope.shape[axis], axis=axis) for i in range(2 * reach + 1))
        slope = sum(w * x for w, x in zip(weights, shifted, strict=True))
    return slope
