"""Simultaneous perturbation: gradients estimated from pairs of queries."""

import functools

import jax
import numpy as np

from cganjax import memory
from cganjax.decoys.attacks import norms, queries
from cganjax.decoys.attacks.objectives import LOST
from cganjax.decoys.attacks.parts import in_parts
from cganjax.decoys.attacks.task import Found, Task


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
    """Descent along gradients estimated from pairs of random signs: 2 x samples queries per step.

    Args:
      samples: pairs per step. reach: how far the two images of a pair lie from the current one, in pixels of [0, 1].
      share: length of a step, as a fraction of epsilon. decay: of the sum of the estimates so far.

    References:
      Uesato et al., "Adversarial risk and the dangers of evaluating against weak attacks" (arXiv 1802.05666),
      algorithm 1; here steps go along the steepest direction of the norm with momentum, instead of Adam.
    """
    value, bounds = task.value, task.bounds
    images, velocity = np.array(bounds.clean), np.zeros(bounds.clean.shape, np.float32)
    n, shape = len(images), images.shape[1:]
    rows = np.arange(n)
    best, lowest = images.copy(), queries.asked(value, images, rows)

    def slopes(i: np.ndarray, t: int) -> np.ndarray:
        """The estimates for images i."""
        signs = np.asarray(_signs(keys[i], t, (samples, *shape)))  # [len(i), samples, H, W, C]
        pairs = np.concatenate([images[i, None] + reach * signs, images[i, None] - reach * signs], axis=1)
        pairs = np.clip(pairs, 0.0, 1.0).reshape(-1, *shape)
        found = queries.asked(value, pairs, np.repeat(i, 2 * samples)).reshape(len(i), 2, samples)
        rise = found[:, 0] - found[:, 1]
        rise[np.abs(rise) > LOST / 100] = 0.0  # the label is lost on one side only: a jump has no slope
        total = rise[:, None] @ signs.reshape(len(i), samples, -1)
        return (total / (2 * reach * samples)).astype(np.float32).reshape(-1, *shape)

    together = min(n, max(1, queries.AT_ONCE // (2 * samples)))  # images whose pairs may be shown at once
    # Signs as float32, the two images of each pair, and these once more while they are clipped.
    memory.check(together * samples * images[0].size * 4 * 5, f"samples is {samples}: the pairs of {together} images")
    for t in range(steps):
        slope = in_parts(functools.partial(slopes, t=t), rows, together)
        size = np.abs(slope).mean(axis=(1, 2, 3), keepdims=True)
        velocity = decay * velocity + slope / np.maximum(size, np.finfo(np.float32).tiny)
        images = np.asarray(norms.move(task.norm, bounds, images, -velocity, share))
        values = queries.asked(value, images, rows)
        lower = values < lowest
        best[lower], lowest = images[lower], np.minimum(values, lowest)
    return Found(best, np.full(n, 1 + steps * (2 * samples + 1)))


@functools.partial(jax.jit, static_argnums=2)
def _signs(keys: jax.Array, t: int, shape: tuple[int, ...]) -> jax.Array:
    """1 or -1 for each of keys [n] at step t: float32 [n, *shape]; the same for an image in any batch."""
    return jax.vmap(lambda key: jax.random.rademacher(jax.random.fold_in(key, t), shape, np.float32))(keys)
