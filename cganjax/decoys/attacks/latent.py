"""Decoys without pixel noise: the latent of a generated image moves, and the image with it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cganjax.decoys.attacks import descents
from cganjax.decoys.attacks.gradient import Objective
from cganjax.decoys.attacks.task import Found, Task


class LatentDescent(NamedTuple):
    """How a latent moves."""

    steps: int = 40
    radius: float = 0.25  # the largest distance from the start, in lengths of the latent; then back to its sphere
    rate: float = 0.05  # length of a step, in the same unit
    decay: float = 0.75  # of the sum of the gradients so far


def latent(
    keys: jax.Array, task: Task, *, steps: int = 40, radius: float = 0.25, rate: float = 0.05, decay: float = 0.75
) -> Found:
    """The generator's latent moves, and no pixel by itself. Song et al. (arXiv 1805.07894), eq. 3."""
    del keys
    settings = LatentDescent(steps, radius, rate, decay)
    return descend(task.generator, task.goal, task.z, task.classes, task.labels, settings)


def latent_and_pixel(
    keys: jax.Array,
    task: Task,
    *,
    steps: int = 40,
    radius: float = 0.25,
    rate: float = 0.05,
    decay: float = 0.75,
    pixel_steps: int = 20,
    share: float = 0.125,
) -> Found:
    """`latent`, and then `pgd` within epsilon of the image that it found."""
    moved = latent(keys, task, steps=steps, radius=radius, rate=rate, decay=decay)
    there = task._replace(bounds=task.bounds._replace(clean=moved.images))
    found = descents.pgd(keys, there, steps=pixel_steps, share=share)
    return Found(found.images, moved.queries + found.queries, moved.z)


def descend(
    generator: Callable,
    objective: Objective,
    z: jax.Array,
    classes: jax.Array,
    labels: jax.Array,
    settings: LatentDescent,
) -> Found:
    """Lower an objective of the generator's images by moving z, on the sphere of its own length.

    A latent of L normal numbers has a length near sqrt(L): on that sphere the generator is in the region that it was
    trained on, and what it generates is an image of the class asked for.

    Args:
      generator: (z [N, L], classes [N]) -> images [N, H, W, C] in [0, 1].
      labels: passed on to the objective.

    Returns:
      The images of the lowest objective seen, how often each image was shown, and the latents of those images.

    References:
      Song et al., "Constructing unrestricted adversarial examples with generative models" (arXiv 1805.07894), eq. 3.
    """
    length = jnp.linalg.norm(z, axis=1, keepdims=True)
    state = (z, jnp.zeros_like(z), z, jnp.full(len(z), jnp.inf))
    for _ in range(settings.steps):
        state = _step(generator, objective, settings, z, length, classes, labels, state)
    best = _last(generator, objective, classes, labels, state)
    return Found(generator(best, classes), settings.steps + 1, best)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _step(generator, objective, settings, start, length, classes, labels, state):
    z, velocity, best, lowest = state
    values, pullback = jax.vjp(lambda z: objective(generator(z, classes), labels), z)
    (slope,) = pullback(jnp.ones_like(values))
    best, lowest = _better(z, values, best, lowest)
    velocity = settings.decay * velocity + _unit(slope)
    moved = z - settings.rate * length * _unit(velocity)
    away = moved - start
    distance = jnp.linalg.norm(away, axis=1, keepdims=True)
    away *= jnp.minimum(1.0, settings.radius * length / jnp.maximum(distance, 1e-12))
    # Back to the sphere last: it is at most as far again from the start, whose own length it has.
    return _unit(start + away) * length, velocity, best, lowest


@functools.partial(jax.jit, static_argnums=(0, 1))
def _last(generator, objective, classes, labels, state):
    z, _, best, lowest = state
    return _better(z, objective(generator(z, classes), labels), best, lowest)[0]


def _better(z, values, best, lowest):
    lower = values < lowest
    return jnp.where(lower[:, None], z, best), jnp.where(lower, values, lowest)


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)
