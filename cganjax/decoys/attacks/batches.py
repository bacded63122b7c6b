"""A method applied to any number of images: a chunk at a time, each laid back inside its bounds."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import parallel
from cganjax.decoys import attacks
from cganjax.decoys.attacks import norms
from cganjax.decoys.attacks.norms import Bounds
from cganjax.decoys.attacks.objectives import Goal


def at_once(*, gradient: bool = True) -> int:
    """How many images to attack at once where nobody says.

    On a CPU what a layer makes of more than some 250 images leaves the cache, and a step of gradients takes twice as
    long an image. Methods by queries have more calls than work in them, and other devices like their batches large.
    """
    return 100 if gradient and jax.default_backend() == "cpu" else 500


class Batch(NamedTuple):
    """N images to attack: all that has one row an image."""

    keys: jax.Array
    bounds: Bounds
    labels: np.ndarray  # int [N, M]
    z: jax.Array | None  # float [N, L], of methods that move latents
    classes: jax.Array | None  # int [N]
    generator: Callable | None


def by_parts(attack: Callable[[Batch], attacks.Found], batch: Batch, size: int, *, threads: bool) -> attacks.Found:
    """Attack `size` images at a time; the last part is filled up, so that one compiled program serves all.

    Args:
      threads: parts may be attacked at the same time. Of classifiers that are not JAX's nobody knows whether they may.
    """
    n = len(batch.labels)
    size = min(size, n)

    def part(start: int):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        arrays = jax.tree.map(lambda x, rows=rows: x[rows], batch._replace(generator=None))
        found = attack(arrays._replace(generator=batch.generator))
        queries = np.broadcast_to(np.asarray(found.queries, np.int64), (size,))
        return found.images, queries, found.z

    starts = range(0, n, size)
    parts = zip(starts, parallel.in_turn(part, starts) if threads else map(part, starts), strict=True)
    fetched = [[None if x is None else np.asarray(x)[: n - start] for x in found] for start, found in parts]
    images, queries, z = zip(*fetched, strict=True)
    return attacks.Found(np.concatenate(images), np.concatenate(queries), None if z[0] is None else np.concatenate(z))


def attack(
    line: attacks.Method, goal: Goal, norm: str, settings: Mapping[str, Any], traced: bool, batch: Batch
) -> attacks.Found:
    """One chunk, and its images laid back inside the bounds whatever the attack returned.

    Args:
      traced: JAX can trace every classifier: what is asked by queries is then compiled.
    """
    value, confidence = (_jitted_value, _jitted_confidence) if traced else (_value, _confidence)
    task = attacks.Task(
        goal,
        value=lambda images, rows: value(goal, images, batch.labels[rows]),
        confidence=lambda images, rows: confidence(goal, images, batch.labels[rows]),
        bounds=batch.bounds,
        labels=jnp.asarray(batch.labels),
        norm=norm,
        generator=batch.generator,
        z=batch.z,
        classes=batch.classes,
    )
    found = line.attack(batch.keys, task, **settings)
    bounds = batch.bounds
    if found.z is not None:
        bounds = bounds._replace(clean=task.generator(found.z, task.classes))
    return found._replace(images=_laid_back(norm, bounds, found.images))


@functools.partial(jax.jit, static_argnums=0)
def _laid_back(norm: str, bounds: Bounds, images) -> jax.Array:
    images = jnp.where(jnp.isnan(images), bounds.clean, images)  # of a gradient that is not finite, a doubt says
    return norms.project(norm, bounds, images)


def _value(goal: Goal, images, labels):
    return goal(images, labels)


def _confidence(goal: Goal, images, labels):
    return goal.confidence(images, labels)


_jitted_value, _jitted_confidence = (jax.jit(f, static_argnums=0) for f in (_value, _confidence))
