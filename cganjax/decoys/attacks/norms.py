"""What a decoy may be: `Bounds`, and the norms that measure and project it. A norm and its projection are one object.

N images [N, H, W, C] in [0, 1]; differences from the clean image have the same shape; one size [N] each.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

_PIXELS = (1, 2, 3)


class Norm(NamedTuple):
    """The four acts of a norm."""

    size: Callable[[jax.Array], jax.Array]  # differences -> [N]
    project: Callable[[jax.Array, jax.Array], jax.Array]  # (differences, sizes [N]) -> the nearest within them
    steepest: Callable[[jax.Array], jax.Array]  # gradients -> directions of size 1 that rise fastest
    random: Callable[..., jax.Array]  # (key, shape [H, W, C]) -> one difference of size at most 1


def _each(sizes: jax.Array) -> jax.Array:
    return sizes[:, None, None, None]


def _l2(x: jax.Array) -> jax.Array:
    # The maximum is taken out first: squares of small numbers would vanish.
    largest = jnp.maximum(jnp.max(jnp.abs(x), axis=_PIXELS), jnp.finfo(x.dtype).tiny)
    return largest * jnp.sqrt(jnp.sum((x / _each(largest)) ** 2, axis=_PIXELS))


def _unit(x: jax.Array) -> jax.Array:
    return x / _each(jnp.maximum(_l2(x), jnp.finfo(x.dtype).tiny))


def _in_unit_ball(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    key_direction, key_size = jax.random.split(key)
    direction = jax.random.normal(key_direction, shape)
    size = jax.random.uniform(key_size) ** (1.0 / direction.size)
    return direction * (size / jnp.linalg.norm(direction.ravel()))


NORMS: Mapping[str, Norm] = {
    "linf": Norm(
        size=lambda x: jnp.max(jnp.abs(x), axis=_PIXELS),
        project=lambda x, sizes: jnp.clip(x, -_each(sizes), _each(sizes)),
        steepest=jnp.sign,
        random=lambda key, shape: jax.random.uniform(key, shape, minval=-1.0),
    ),
    "l2": Norm(
        size=_l2,
        project=lambda x, sizes: x * _each(jnp.minimum(1.0, sizes / jnp.maximum(_l2(x), jnp.finfo(x.dtype).tiny))),
        steepest=_unit,
        random=_in_unit_ball,
    ),
}


class Bounds(NamedTuple):
    """Where the decoys of a batch may lie."""

    clean: jax.Array  # [N, H, W, C]
    epsilon: jax.Array  # [N], largest size of the difference
    mask: jax.Array  # [N, H, W, C], 1 where a pixel may change, else 0


def project(norm: str, bounds: Bounds, images: jax.Array) -> jax.Array:
    """Images inside the bounds and in [0, 1]: clipping towards a box that holds the clean image enlarges no norm."""
    difference = NORMS[norm].project((images - bounds.clean) * bounds.mask, bounds.epsilon)
    return jnp.clip(bounds.clean + difference, 0.0, 1.0)


def random_start(keys: jax.Array, norm: str, bounds: Bounds) -> jax.Array:
    """Uniform within the bounds; `keys` [N], one an image, so that image i is the same in any batch."""
    difference = jax.vmap(lambda key: NORMS[norm].random(key, bounds.clean.shape[1:]))(keys)
    difference *= _each(bounds.epsilon)
    return project(norm, bounds, bounds.clean + difference)


def move(norm: str, bounds: Bounds, images: jax.Array, direction: jax.Array, share: float) -> jax.Array:
    """One step of `share` times epsilon along the steepest direction for `direction`, projected."""
    steepest = NORMS[norm].steepest(direction * bounds.mask)
    return project(norm, bounds, images + _each(share * bounds.epsilon) * steepest)
