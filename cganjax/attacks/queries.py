"""Attacks by queries alone, for classifiers that give scores and no gradient: any callable on arrays.

Each lowers a function of images and of the rows of the batch that they are tried for (called `value`), shows it many
at once, and says how often it was asked for each. The work is on the host, in NumPy.
"""

from collections.abc import Callable

import jax
import numpy as np

from cganjax.attacks import norms
from cganjax.attacks.norms import Bounds
from cganjax.attacks.objectives import LOST

Value = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (images [n, H, W, C], rows int [n]) -> [n]
AT_ONCE = 2000  # images shown at once, at most


def asked(value: Value, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The value of any number of images, a bounded number at a time; the last part is filled up, so as to fit."""
    size, found = min(AT_ONCE, len(images)), []
    for i in range(0, len(images), size):
        fill = np.minimum(np.arange(i, i + size), len(images) - 1)
        found.append(np.asarray(value(images[fill], rows[fill]), np.float64)[: len(images) - i])
    return np.concatenate(found)


def coordinate(
    keys: jax.Array, value: Value, bounds: Bounds, norm: str, *,
    step: float = 0.04, rounds: int = 5, stop: float = 0.5, reference: str = "current",
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Every pixel is tried by itself, and all are changed at once: the original decoy, by finite differences.

    In a round each pixel is raised by `step` alone; where that does not raise the value, the pixel is raised, elsewhere
    it is lowered; then the image is clipped. An image is left as it is once its value is below `stop`.

    Args:
      value: the highest confidence, as published, or any function to lower.
      step: in pixels of [0, 1]. rounds: at most so many, so that step x rounds bounds the change.
      reference: a trial is compared with the value of the image before this round ("current"), or of the clean image
        throughout, which is the published listing's rule ("clean").

    Returns:
      Images inside the bounds, and the queries of each: the pixels and one, a round.

    References:
      A course project on label_score (2023), see recipe `label_score`. As there, trials are not clipped.
    """
    del keys
    if reference not in ("current", "clean"):
        raise ValueError(f"reference is {reference!r}: expected current or clean")
    images = np.array(bounds.clean)
    shape, pixels = images.shape[1:], images[0].size
    spikes = step * np.eye(pixels, dtype=np.float32).reshape(pixels, *shape)
    rows = np.arange(len(images))
    current = asked(value, images, rows)
    first, queries = current.copy(), np.ones(len(images), np.int64)
    for _ in range(rounds):
        going = np.flatnonzero(current >= stop)
        if not len(going):
            break
        for i in going:
            tried = asked(value, images[i] + spikes, np.full(pixels, i))
            up = tried <= (current if reference == "current" else first)[i]
            images[i] += np.where(up, step, -step).astype(np.float32).reshape(shape)
        part = Bounds(*(np.asarray(x)[going] for x in bounds))
        images[going] = np.asarray(norms.project(norm, part, images[going]))
        current[going] = asked(value, images[going], going)
        queries[going] += pixels + 1
    return images, queries


def spsa(
    keys: jax.Array, value: Value, bounds: Bounds, norm: str, *,
    steps: int = 20, samples: int = 64, reach: float = 0.05, share: float = 0.125, decay: float = 0.75,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Descent along gradients estimated from pairs of random signs: 2 x samples queries a step.

    Args:
      samples: pairs a step. reach: how far a pair lies on both sides, in pixels of [0, 1].
      share: length of a step, as a share of epsilon. decay: of the sum of the estimates so far.

    References:
      Uesato et al., "Adversarial risk and the dangers of evaluating against weak attacks" (arXiv 1802.05666),
      algorithm 1; steps are along the steepest direction of the norm there with momentum, in place of Adam.
    """
    images, velocity = np.array(bounds.clean), np.zeros(bounds.clean.shape, np.float32)
    shape, rows = images.shape[1:], np.arange(len(images))
    best, lowest = images.copy(), asked(value, images, rows)
    for t in range(steps):
        slope = np.empty_like(images)
        for i in range(len(images)):
            key = jax.random.fold_in(keys[i], t)
            signs = np.asarray(jax.random.rademacher(key, (samples, *shape), np.float32))
            tried = np.clip(np.concatenate([images[i] + reach * signs, images[i] - reach * signs]), 0.0, 1.0)
            pairs = asked(value, tried, np.full(2 * samples, i))
            rise = pairs[:samples] - pairs[samples:]
            rise[np.abs(rise) > LOST / 100] = 0.0  # the label is lost on one side only: a jump has no slope
            slope[i] = np.tensordot(rise, signs, axes=1) / (2 * reach * samples)
        size = np.abs(slope).mean(axis=(1, 2, 3), keepdims=True)
        velocity = decay * velocity + slope / np.maximum(size, np.finfo(np.float32).tiny)
        images = np.asarray(norms.move(norm, bounds, images, -velocity, share))
        values = asked(value, images, rows)
        lower = values < lowest
        best[lower], lowest = images[lower], np.minimum(values, lowest)
    return best, np.full(len(images), 1 + steps * (2 * samples + 1))


# The share of pixels in a square, halved at these parts of the budget (Andrychowicz et al., section 3.1).
_HALVED = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def square(
    keys: jax.Array, value: Value, bounds: Bounds, norm: str, *, queries: int = 1000, share: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Random search by squares whose pixels are all moved to one side of their bounds, kept where the value falls.

    Args:
      queries: the budget of each image. share: of the pixels that the first squares cover.

    References:
      Andrychowicz et al., "Square attack" (arXiv 1912.00049), algorithms 1 and 2; for L-infinity.
    """
    if norm != "linf":
        raise ValueError(f"method square works in norm linf, and {norm} was given: take spsa or coordinate")
    clean, epsilon = np.array(bounds.clean), np.asarray(bounds.epsilon)[:, None, None, None]
    n, height, width, channels = clean.shape
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
        tried = best.copy()
        for i, (top, left, *signs) in enumerate(draws[:, t]):
            row, column = int(top * (height - side + 1)), int(left * (width - side + 1))
            place = (slice(row, row + side), slice(column, column + side))
            tried[i][place] = clean[i][place] + epsilon[i] * np.where(np.array(signs) < 0.5, -1, 1).astype(np.float32)
        tried = np.asarray(norms.project(norm, bounds, tried))
        values = asked(value, tried, rows)
        lower = values < lowest
        best[lower], lowest = tried[lower], np.minimum(values, lowest)
    return best, np.full(n, max(queries, 2))
