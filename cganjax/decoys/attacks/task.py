"""What an attack is given and returns, and what the table of attacks says of it.

`attack(keys, task, **settings)` takes one key per image and a `Task`, and returns a `Found`. What it returns need not
be trusted: `cganjax.decoy` projects and clips the images, and shows them to the classifiers again.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from cganjax.decoys.attacks.norms import Bounds
from cganjax.decoys.attacks.objectives import Goal

Value = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (images [n, H, W, C], rows int [n] of the batch) -> [n]


class Task(NamedTuple):
    """What an attack is given, for N images and M classifiers."""

    goal: Goal  # (images, labels) -> [N], to be lowered; pure
    value: Value | None  # the same for images of some rows, by queries alone
    confidence: Value | None  # the goal's `confidence`, which also says where a label to keep is lost; by queries
    bounds: Bounds
    labels: jax.Array  # int [N, M], the class that each classifier should keep
    norm: str  # of the bounds
    generator: Callable | None = None  # (z [N, L], classes [N]) -> images, for attacks that move latents
    z: jax.Array | None = None  # float [N, L]
    classes: jax.Array | None = None  # int [N], the classes that the generator was asked for


class Found(NamedTuple):
    """What an attack returns."""

    images: Any  # [N, H, W, C]
    queries: Any  # int, or int [N]: how often each image was shown to the classifiers
    z: jax.Array | None = None  # the latents, if they were moved: the images are then near those of them


class Method(NamedTuple):
    """An entry in the table of attacks."""

    attack: Callable[..., Found]  # (keys [N], task, **settings)
    gradient: bool = True  # it differentiates the classifiers: JAX must be able to trace them
    latent: bool = False  # it moves latents: a generator, z and classes are needed
    norms: tuple[str, ...] = ("linf", "l2")
    choices: Mapping[str, tuple[str, ...]] = {}  # the allowed values of settings that are texts
