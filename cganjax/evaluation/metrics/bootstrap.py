"""Intervals of 95 %: the estimate and 1.96 standard errors on either side, from a bootstrap or a formula.

Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapters 6 and 12. The
percentiles of the bootstrap draws are not used: a draw adds noise, which enlarges its Frechet distance, so that they
would lie above the estimate.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from cganjax.evaluation.metrics import checks

DRAWS = 100


def interval(
    statistic: Callable[[np.ndarray], float], value: float, n: int, *, seed: int, stream: str, draws: int = DRAWS
) -> list[float]:
    """[low, high] of a statistic of n images.

    Args:
      statistic: weights float64 [n], how often each image is drawn -> the statistic.
      value: the estimate itself.
      seed, stream: of the draws.
    """
    random = checks.random(seed, f"bootstrap {stream}")
    weights = (random.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for _ in range(draws))
    return around(value, float(np.std([statistic(w) for w in weights], ddof=1)))


def of_mean(values: Sequence[float] | np.ndarray) -> list[float]:
    """[low, high] of a mean of values [n], whose bootstrap standard error has the closed form std / sqrt(n)."""
    values = np.asarray(values, np.float64)
    return around(float(values.mean()), float(values.std() / math.sqrt(len(values))))


def around(value: float, error: float) -> list[float]:
    """[low, high] from a standard error."""
    return [value - 1.96 * error, value + 1.96 * error]
