"""An attack applied to any number of images: some at a time, each projected back into its bounds."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax.decoys.attacks import norms
from cganjax.decoys.attacks.norms import Bounds
from cganjax.decoys.attacks.objectives import Goal
from cganjax.decoys.attacks.parts import in_parts
from cganjax.decoys.attacks.task import Found, Method, Task

SIZES = (2, 10, 32)  # images at once of a small call


class Batch(NamedTuple):
    """N images to attack: everything that has one row per image."""

    keys: jax.Array
    bounds: Bounds
    labels: np.ndarray  # int [N, M]
    z: jax.Array | None  # float [N, L], of methods that move latents
    classes: jax.Array | None  # int [N]
    generator: Callable | None


def by_parts(attack: Callable[[Batch], Found], batch: Batch, size: int, *, threads: bool) -> Found:
    """Attack `size` images at a time.

    Args:
      threads: parts may be attacked at the same time. A classifier that is not JAX's may not allow that.
    """
    n = len(batch.labels)
    # What is compiled has one of few sizes, and one alone in a call of several parts. Nothing is compiled for a
    # classifier that is not JAX's, so a small call is not filled up.
    sizes = (size,) if n > size else (*(s for s in SIZES if s < size), size) if threads else (n,)

    def part(arrays: Batch) -> Found:
        found = attack(arrays._replace(generator=batch.generator))
        return found._replace(queries=np.broadcast_to(np.asarray(found.queries, np.int64), arrays.labels.shape[:1]))

    return in_parts(part, batch._replace(generator=None), sizes, threads=threads)


def attack(method: Method, goal: Goal, norm: str, settings: Mapping[str, Any], traced: bool, batch: Batch) -> Found:
    """Attack one part, and project its images into the bounds whatever the attack returned.

    Args:
      traced: JAX can trace every classifier, so queries are compiled.
    """
    value, confidence = (_jitted_value, _jitted_confidence) if traced else (_value, _confidence)
    task = Task(
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
    found = method.attack(batch.keys, task, **settings)
    bounds = batch.bounds
    if found.z is not None:
        bounds = bounds._replace(clean=task.generator(found.z, task.classes))
    return found._replace(images=_projected(norm, bounds, found.images))


@functools.partial(jax.jit, static_argnums=0)
def _projected(norm: str, bounds: Bounds, images) -> jax.Array:
    images = jnp.where(jnp.isnan(images), bounds.clean, images)  # the gradient was not finite, which a warning says
    return norms.project(norm, bounds, images)


def _value(goal: Goal, images, labels):
    return goal(images, labels)


def _confidence(goal: Goal, images, labels):
    return goal.confidence(images, labels)


_jitted_value, _jitted_confidence = (jax.jit(f, static_argnums=0) for f in (_value, _confidence))
