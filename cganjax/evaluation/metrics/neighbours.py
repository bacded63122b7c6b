"""What nearest neighbours say: precision, recall, density, coverage, and how near to training images others lie.

Distances are Euclidean and taken in blocks of rows: memory is block x M numbers, never N x M.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cganjax.evaluation.metrics import checks

K_NEAREST = 5  # as Naeem et al. advise; Kynkaanniemi et al. take 3
BLOCK = 1000


class OfEach(NamedTuple):
    """What the four figures are means of."""

    precision: np.ndarray  # bool [M], a generated image lies within a real one's ball
    recall: np.ndarray  # bool [N], a real image lies within a generated one's ball
    density: np.ndarray  # float64 [M], the number of real balls that a generated image lies in, over k
    coverage: np.ndarray  # bool [N], a real image's ball holds a generated one


def prdc(real: Any, generated: Any, k: int = K_NEAREST) -> dict[str, float]:
    """Precision, recall, density and coverage of generated features [M, F] against real ones [N, F].

    Around each point lies a ball that reaches to its k-th nearest neighbour of its own set. The figures depend on N
    and M: compare equal numbers only.

    Raises:
      ValueError: fewer than k + 1 rows, or different sizes.

    References:
      Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models" (arXiv 1904.06991),
      eq. 1 and 2; Naeem et al., "Reliable fidelity and diversity metrics for generative models" (arXiv 2002.09797),
      section 3.2.
    """
    return {name: float(values.mean()) for name, values in of_each(real, generated, k)._asdict().items()}


def of_each(real: Any, generated: Any, k: int = K_NEAREST, block: int = BLOCK) -> OfEach:
    """`prdc` before the means are taken; arguments and errors as there."""
    real, generated = (checks.features(f, "PRDC", k + 1) for f in (real, generated))
    checks.same_size(real, generated)
    around_real, around_generated = radii(real, k, block), radii(generated, k, block)
    balls = np.zeros(len(generated), np.int64)
    recall, coverage = [], []
    for rows, between in _squared_distances(real, generated, block):  # between [B, M]
        own = around_real[rows]
        balls += (between < own[:, None]).sum(axis=0)
        recall.append((between < around_generated).any(axis=1))
        coverage.append(between.min(axis=1) < own)
    return OfEach(balls > 0, np.concatenate(recall), balls / k, np.concatenate(coverage))


def radii(features: np.ndarray, k: int, block: int = BLOCK) -> np.ndarray:
    """Squared distances [N] of each row to its k-th nearest other row."""
    # A row is its own nearest: the k-th other is number k from 0.
    return np.concatenate([_smallest(between, k) for _, between in _squared_distances(features, features, block)])


def nearest(queries: Any, bank: Any, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of `bank` [M, D] for each of `queries` [N, D]: its index int [N] and its distance float64 [N].

    The search is in float32, the distance of what it finds is exact. Images may be given as [N, H, W, C].
    """
    queries, bank = (np.asarray(x, np.float32).reshape(len(x), -1) for x in (queries, bank))
    checks.enough(len(bank), "the nearest neighbour", 1, "images to look among")
    if len(queries) == 0:
        return np.zeros(0, np.int64), np.zeros(0)
    # Around a common middle float32 keeps more digits. The nearest has the largest x.y - |y|^2 / 2.
    middle = bank.mean(axis=0)
    bank_centred = bank - middle
    half = 0.5 * (bank_centred * bank_centred).sum(axis=1)
    index = []
    for i in range(0, len(queries), block):
        products = (queries[i : i + block] - middle) @ bank_centred.T  # [B, M]
        products -= half
        index.append(products.argmax(axis=1))
    index = np.concatenate(index)
    found = [
        np.sqrt(((queries[i : i + block].astype(np.float64) - bank[index[i : i + block]]) ** 2).sum(axis=1))
        for i in range(0, len(queries), block)
    ]
    return index, np.concatenate(found)


def memorisation(generated: Any, real: Any) -> dict[str, float]:
    """Are generated images nearer to training images than unseen real ones are?

    Args:
      generated: distances [N] to the nearest training image, from `nearest`.
      real: the same [M] of real images that are no training images; at least 100.

    Returns:
      `memorised`, the share of generated images nearer than the 1st percentile of real ones (0.01 is expected of fresh
      real images, and of a generator that copies near 1), and the two medians `nearest` and `nearest_real`.

    References:
      Meehan et al., "A non-parametric test to detect data-copying in generative models" (arXiv 2004.05675), compare the
      same two sets of distances, by ranks; here one quantile is compared.
    """
    generated, real = np.asarray(generated), np.asarray(real)
    checks.enough(len(real), "memorisation", 100, "real images that are no training images")
    checks.enough(len(generated), "memorisation", 1)
    return {
        "memorised": float(np.mean(generated < np.quantile(real, 0.01))),
        "nearest": float(np.median(generated)),
        "nearest_real": float(np.median(real)),
    }


def _squared_distances(x: np.ndarray, y: np.ndarray, block: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows of x: (rows, squared distances float64 [B, M] to all rows of y)."""
    middle = y.mean(axis=0)
    x, y = x - middle, y - middle
    x_squares, y_squares = (x * x).sum(axis=1), (y * y).sum(axis=1)
    for i in range(0, len(x), block):
        rows = slice(i, i + block)
        between = x[rows] @ (-2.0 * y.T)
        between += y_squares
        between += x_squares[rows, None]
        yield rows, np.maximum(between, 0.0, out=between)


def _smallest(values: np.ndarray, k: int, groups: int = 16) -> np.ndarray:
    """The value number k (from 0) of each row [B, M] in rising order, as `np.partition(values, k)[:, k]`."""
    b, m = values.shape
    width = m // groups
    if width <= 4 * k:
        return np.partition(values, k, axis=1)[:, k]
    # The k + 1 smallest of a row lie in the k + 1 groups with the smallest least values: ten times less to sort.
    grouped = values[:, : groups * width].reshape(b, groups, width)
    best = np.argpartition(grouped.min(axis=1), k, axis=1)[:, : k + 1]  # [B, k + 1]
    few = np.take_along_axis(grouped, best[:, None, :], axis=2).reshape(b, -1)
    return np.partition(np.concatenate([few, values[:, groups * width :]], axis=1), k, axis=1)[:, k]
