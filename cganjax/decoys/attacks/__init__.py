"""Decoy attacks: one table of pure functions, one contract.

`METHODS[name].attack(keys, task, **settings)` takes a key for each image and a `Task`, and gives images and how often
each was shown to the classifiers. What it returns need not be trusted: `cganjax.decoy` projects, clips and judges
again. A method is a function here and a line in the table.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from cganjax.decoys.attacks import gradient
from cganjax.decoys.attacks import queries as by_queries
from cganjax.decoys.attacks.gradient import Descent
from cganjax.decoys.attacks.latent import LatentDescent, latent
from cganjax.decoys.attacks.norms import Bounds
from cganjax.decoys.attacks.objectives import Goal


class Task(NamedTuple):
    """What an attack is given, for N images and M classifiers."""

    goal: Goal  # (images, labels) -> [N], to be lowered; pure
    value: by_queries.Value | None  # (images, rows of the batch) -> [n], the same by queries alone
    confidence: by_queries.Value | None  # likewise the goal's `confidence`, which says where a label to keep is lost
    bounds: Bounds
    labels: jax.Array  # int [N, M], the class that each classifier should keep
    norm: str  # of the bounds
    generator: Callable | None = None  # (z [N, L], classes [N]) -> images, for methods that move latents
    z: jax.Array | None = None  # float [N, L]
    classes: jax.Array | None = None  # int [N], what the generator was asked for


class Found(NamedTuple):
    """What an attack returns."""

    images: Any  # [N, H, W, C]
    queries: Any  # int, or int [N]
    z: jax.Array | None = None  # the latents, where they were moved: the images are then near those of them


def _descend(keys: jax.Array, task: Task, **settings: Any) -> Found:
    return Found(*gradient.descend(keys, task.goal, task.bounds, task.labels, task.norm, Descent(**settings)))


def fgsm(keys: jax.Array, task: Task) -> Found:
    """One step of the whole epsilon along the sign of the gradient. Goodfellow et al. (arXiv 1412.6572), section 4.

    For a curve, `attacks.grid.over_epsilons` makes the images of all epsilons in one call.
    """
    return _descend(keys, task, steps=1, share=1.0, best=False)


def bim(keys: jax.Array, task: Task, *, steps: int = 20, share: float = 0.125) -> Found:
    """Small steps from the clean image. Kurakin et al. (arXiv 1607.02533), section 2.2."""
    return _descend(keys, task, steps=steps, share=share)


def pgd(keys: jax.Array, task: Task, *, steps: int = 20, share: float = 0.125) -> Found:
    """Small steps from a random start. Madry et al. (arXiv 1706.06083), section 2.1."""
    return _descend(keys, task, steps=steps, share=share, random_start=True)


def mi(keys: jax.Array, task: Task, *, steps: int = 20, share: float = 0.125, momentum: float = 0.75) -> Found:
    """Steps along the decaying sum of the gradients. Dong et al. (arXiv 1710.06081), eq. 6 and 7, decay 1 there."""
    return _descend(keys, task, steps=steps, share=share, momentum=momentum)


def di(
    keys: jax.Array,
    task: Task,
    *,
    steps: int = 20,
    share: float = 0.125,
    momentum: float = 1.0,
    diversity: float = 0.5,
) -> Found:
    """`mi` on images shrunk and laid down anew at each step. Xie et al. (arXiv 1803.06978), eq. 4, M-DI2-FGSM."""
    return _descend(keys, task, steps=steps, share=share, momentum=momentum, diversity=diversity, best=False)


def ti(
    keys: jax.Array, task: Task, *, steps: int = 20, share: float = 0.125, momentum: float = 1.0, translation: int = 2
) -> Found:
    """`mi` along gradients averaged over small shifts. Dong et al. (arXiv 1904.02884), eq. 8."""
    return _descend(keys, task, steps=steps, share=share, momentum=momentum, translation=translation)


def ensemble(
    keys: jax.Array, task: Task, *, steps: int = 30, share: float = 0.1, momentum: float = 1.0, views: int = 2
) -> Found:
    """What transfers best of ours: `mi` over several classifiers and views, the last image and not the best.

    Several classifiers: Liu et al. (arXiv 1611.02770), section 5. Views: Athalye et al. (arXiv 1707.07397), eq. 3.
    docs/decoys.md says against which classifiers these settings were chosen.
    """
    return _descend(keys, task, steps=steps, share=share, momentum=momentum, views=views, best=False)


def coordinate(
    keys: jax.Array, task: Task, *, step: float = 0.04, rounds: int = 5, stop: float = 0.5, reference: str = "current"
) -> Found:
    """The original decoy: 784 queries a round, every pixel by itself. See `queries.coordinate`.

    The original held no label: it is `keep_label=False`. Else a round in which an image would lose its label is undone.
    """
    settings = {"step": step, "rounds": rounds, "stop": stop, "reference": reference}
    return Found(*by_queries.coordinate(keys, task.confidence, task.bounds, task.norm, **settings))


def spsa(
    keys: jax.Array,
    task: Task,
    *,
    steps: int = 20,
    samples: int = 64,
    reach: float = 0.05,
    share: float = 0.125,
    decay: float = 0.75,
) -> Found:
    """Gradients estimated from queries. Uesato et al. (arXiv 1802.05666), algorithm 1."""
    settings = {"steps": steps, "samples": samples, "reach": reach, "share": share, "decay": decay}
    return Found(*by_queries.spsa(keys, task.value, task.bounds, task.norm, **settings))


def square(keys: jax.Array, task: Task, *, queries: int = 1000, share: float = 0.3) -> Found:
    """Random search by squares, L-infinity only. Andrychowicz et al. (arXiv 1912.00049)."""
    return Found(*by_queries.square(keys, task.value, task.bounds, task.norm, queries=queries, share=share))


def latent_only(
    keys: jax.Array, task: Task, *, steps: int = 40, radius: float = 0.25, rate: float = 0.05, decay: float = 0.75
) -> Found:
    """The generator's latent moves, no pixel does by itself. Song et al. (arXiv 1805.07894), eq. 3."""
    del keys
    settings = LatentDescent(steps, radius, rate, decay)
    z, images, shown = latent(task.generator, task.goal, task.z, task.classes, task.labels, settings)
    return Found(images, shown, z)


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
    moved = latent_only(keys, task, steps=steps, radius=radius, rate=rate, decay=decay)
    there = task._replace(bounds=task.bounds._replace(clean=moved.images))
    found = pgd(keys, there, steps=pixel_steps, share=share)
    return Found(found.images, moved.queries + found.queries, moved.z)


class Method(NamedTuple):
    """A line of the table."""

    attack: Callable[..., Found]  # (keys [N], task, **settings)
    gradient: bool = True  # it differentiates the classifiers: JAX must be able to trace them
    latent: bool = False  # it moves latents: a generator, z and classes are needed


METHODS: Mapping[str, Method] = {
    "bim": Method(bim),
    "coordinate": Method(coordinate, gradient=False),
    "di": Method(di),
    "ensemble": Method(ensemble),
    "fgsm": Method(fgsm),
    "latent": Method(latent_only, latent=True),
    "latent+pixel": Method(latent_and_pixel, latent=True),
    "mi": Method(mi),
    "pgd": Method(pgd),
    "spsa": Method(spsa, gradient=False),
    "square": Method(square, gradient=False),
    "ti": Method(ti),
}


MAY_BE_0 = ("decay", "diversity", "momentum", "stop")


def check(name: str, settings: Mapping[str, Any]) -> Method:
    """The method of that name, if it takes the settings.

    Raises:
      ValueError: unknown method. TypeError: unknown setting. Both list the known.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}: known are auto, {', '.join(METHODS)}")
    parameters = inspect.signature(METHODS[name].attack).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}
    for setting, value in settings.items():
        if setting not in known:
            raise TypeError(f"method {name} has no setting {setting!r}: it has {', '.join(known) or 'none'}")
        number, default = isinstance(value, (int, float)) and not isinstance(value, bool), known[setting]
        if isinstance(default, int):
            least = 2 if setting == "queries" else 1  # square asks for the image and for stripes
            if not number or not isinstance(value, int) or value < least:
                raise ValueError(f"{setting} is {value!r}: expected a whole number of at least {least}")
        elif isinstance(default, float):
            may_be_0 = setting in MAY_BE_0
            if not number or not (0 <= value < math.inf) or (value == 0 and not may_be_0):
                raise ValueError(
                    f"{setting} is {value!r}: expected a number {'of at least' if may_be_0 else 'above'} 0"
                )
    return METHODS[name]
