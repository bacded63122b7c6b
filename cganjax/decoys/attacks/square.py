"""Random search by squares."""

import jax
import numpy as np

from cganjax import memory
from cganjax.decoys.attacks import norms
from cganjax.decoys.attacks.queries import asked
from cganjax.decoys.attacks.task import Found, Task

# The fraction of pixels in a square is halved at these fractions of the budget (Andrychowicz et al., section 3.1).
_HALVED = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def square(keys: jax.Array, task: Task, *, queries: int = 1000, share: float = 0.3) -> Found:
    """Move all pixels of a random square to one side of their bounds, and keep that if the value falls.

    Args:
      queries: the budget of each image. share: the fraction of pixels that the first squares cover.

    References:
      Andrychowicz et al., "Square attack" (arXiv 1912.00049), algorithms 1 and 2; for L-infinity only.
    """
    value, bounds, norm = task.value, task.bounds, task.norm
    clean, epsilon = np.array(bounds.clean), np.asarray(bounds.epsilon)[:, None, None, None]
    n, height, width, channels = clean.shape
    memory.check(2 * n * queries * (2 + channels) * 4, f"queries is {queries}: the random numbers of {n} images")
    draws = np.asarray(jax.vmap(lambda key: jax.random.uniform(key, (queries, 2 + channels)))(keys))  # [n, queries, .]
    stripes = np.asarray(
        jax.vmap(lambda key: jax.random.rademacher(jax.random.fold_in(key, 1), (1, width, channels), np.float32))(keys)
    )
    best = np.asarray(norms.project(norm, bounds, clean + epsilon * stripes))
    rows = np.arange(n)
    before, lowest = asked(value, clean, rows), asked(value, best, rows)
    best, lowest = np.where((lowest < before)[:, None, None, None], best, clean), np.minimum(before, lowest)
    for t in range(queries - 2):
        halvings = sum(t >= part * queries for part in _HALVED)
        side = max(1, min(round(np.sqrt(share * 0.5**halvings * height * width)), height, width))
        top, left, signs = draws[:, t, :1], draws[:, t, 1:2], draws[:, t, None, None, 2:]
        inside = covers(top, height, side)[:, :, None, None] & covers(left, width, side)[:, None, :, None]
        moved = clean + epsilon * np.where(signs < 0.5, -1, 1).astype(np.float32)
        tried = np.asarray(norms.project(norm, bounds, np.where(inside, moved, best)))
        values = asked(value, tried, rows)
        lower = values < lowest
        best[lower], lowest = tried[lower], np.minimum(values, lowest)
    return Found(best, np.full(n, max(queries, 2)))


def covers(draws: np.ndarray, length: int, side: int) -> np.ndarray:
    """Which of `length` rows or columns a square of that side covers, for draws [n, 1] in [0, 1): bool [n, length]."""
    begin, places = (draws * (length - side + 1)).astype(int), np.arange(length)[None]
    return (begin <= places) & (places < begin + side)
