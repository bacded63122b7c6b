"""One method at a whole grid of epsilons: a pure function of arrays, for curves. Nothing is measured here."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cganjax import rng
from cganjax import scores as scores_of
from cganjax.decoys import attacks
from cganjax.decoys.attacks import norms, objectives
from cganjax.decoys.attacks.norms import Bounds
from cganjax.types import BadArgument


def over_epsilons(
    key: jax.Array,
    images: Any,
    classifier: Callable,
    epsilons: Any,
    *,
    method: str = "fgsm",
    scores: str | None = None,
    objective: str = "auto",
    norm: str = "linf",
    **settings: Any,
) -> jax.Array:
    """Attack each image at each epsilon, by `vmap` over both: works under `jit` and `vmap`, on tracers too.

    Image i at epsilon e is `cganjax.decoy(key, images, classifier, epsilon=e, method=method, keep_label=False)`'s, to
    rounding; what `decoy` checks and measures is not checked here.

    Args:
      key: one `jax.random.key`; methods that draw nothing, such as "fgsm", ignore it.
      images: float [N, H, W, C] in [0, 1], ink = 1.
      classifier: images -> outputs [N, K], which JAX can trace.
      epsilons: float [E], the largest changes, in the norm.
      method: one of gradients that moves pixels alone.
      scores, objective, norm, **settings: as of `cganjax.decoy`.

    Returns:
      float32 [E, N, H, W, C] in [0, 1], within each epsilon.

    Raises:
      ValueError: the method works by queries, moves latents, or is unknown. TypeError: it has no such setting.

    >>> import jax, cganjax
    >>> from cganjax.decoys.attacks.grid import over_epsilons
    >>> key, classifier = jax.random.key(0), cganjax.load_classifier("lenet5")
    >>> images = cganjax.sample(key, [3, 1, 4])
    >>> grid = over_epsilons(key, images, classifier, [0.0, 0.1, 0.2])
    >>> grid.shape
    (3, 3, 28, 28, 1)
    >>> jax.vmap(classifier)(grid).argmax(axis=-1)[0].tolist()  # one row per epsilon; at 0 nothing changed
    [3, 1, 4]
    """
    entry, settings = attacks.check(method, settings, norm)
    if not entry.gradient or entry.latent:
        raise BadArgument(f"method {method} goes by queries or moves latents: over_epsilons takes one by gradients")
    kind = scores_of.kind_of(classifier, scores)
    images = jnp.asarray(images, jnp.float32)
    held = objectives.Held(classifier)
    goal = objectives.Goal((held,), (kind,), (objectives.choose(objective, kind, several=False),), keep=0.0)
    labels = jnp.zeros((len(images), 1), jnp.int32)  # none is kept
    bounds = Bounds(images, jnp.zeros(len(images), jnp.float32), jnp.ones_like(images))
    keys = rng.items(key, len(images))

    def at(epsilon: jax.Array) -> jax.Array:
        here = bounds._replace(epsilon=jnp.broadcast_to(epsilon, (len(images),)))
        task = attacks.Task(goal, None, None, here, labels, norm)  # by gradients, nothing is asked by queries
        return norms.project(norm, here, entry.attack(keys, task, **settings).images)

    return jax.vmap(at)(jnp.asarray(epsilons, jnp.float32))
