"""Nearest neighbours among features or images, for `prdc` and `memorisation`.

Distances are Euclidean and computed in blocks of rows: memory is block x M numbers, never N x M.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from cganjax.evaluation.metrics import checks

BLOCK = 1000


def radii(features: np.ndarray, k: int, block: int = BLOCK) -> np.ndarray:
    """Squared distances [N] of each row to its k-th nearest other row."""
    # A row is its own nearest: the k-th other is number k from 0.
    return np.concatenate([_smallest(between, k) for _, between in squared_distances(features, features, block)])


def nearest(queries: Any, bank: Any, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of `bank` [M, D] for each of `queries` [N, D]: its index int [N] and its distance float64 [N].

    The search is in float32, the distance of what it finds is exact. Images may be given as [N, H, W, C].
    """
    queries, bank = (np.asarray(x, np.float32).reshape(len(x), -1) for x in (queries, bank))
    checks.enough(len(bank), "the nearest neighbour", 1, "images to search")
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


def squared_distances(x: np.ndarray, y: np.ndarray, block: int) -> Iterator[tuple[slice, np.ndarray]]:
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
