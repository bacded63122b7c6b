"""Attacks by queries alone, for classifiers that give scores and no gradient: any callable on arrays.

Each lowers a function of images and of the rows of the batch that they are tried for (called `value`), shows it many
at once, and says how often it was asked for each. The work is on the host, in NumPy, for all images together; loops are
over rounds and queries. Parts that are shown are of one size, so that a compiled `value` is compiled once.
"""

import functools
from collections.abc import Callable

import jax
import numpy as np

from cganjax.decoys.attacks import norms
from cganjax.decoys.attacks.norms import Bounds
from cganjax.decoys.attacks.objectives import LOST

Value = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (images [n, H, W, C], rows int [n]) -> [n]
AT_ONCE = 2000  # images shown at once, at most


def _in_parts(function: Callable[[np.ndarray], np.ndarray], count: int, size: int) -> np.ndarray:
    """A function of indices int [size], at 0..count-1: [count, ...]. The last part is filled up, so as to fit."""
    parts = (np.arange(i, i + size) for i in range(0, count, size))
    return np.concatenate([function(np.minimum(part, count - 1))[: count - part[0]] for part in parts])


def asked(value: Value, images: np.ndarray, rows: np.ndarray, size: int = 0) -> np.ndarray:
    """The value of any number of images, a bounded number at a time: float64 [n].

    Args:
      size: where it is above n, parts are filled up to it all the same: the size of another call.
    """
    size = min(AT_ONCE, max(size, len(images)))
    return _in_parts(lambda i: np.asarray(value(images[i], rows[i]), np.float64), len(images), size)


def coordinate(
    keys: jax.Array,
    value: Value,
    bounds: Bounds,
    norm: str,
    *,
    step: float = 0.04,
    rounds: int = 5,
    stop: float = 0.5,
    reference: str = "current",
) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel is tried by itself, and all are changed at once: the original decoy, by finite differences.

    In a round each pixel is raised by `step` alone; where that does not raise the value, the pixel is raised, elsewhere
    it is lowered; then the image is clipped. An image is left as it is once its value is below `stop`.

    Args:
      value: the highest confidence, as published, or any function to lower. Where it is `LOST` or more, the image lost
        a label that it should keep: a pixel is then not raised, and a round that ends there is taken back and is the
        image's last.
      step: in pixels of [0, 1]. rounds: at most so many, so that step x rounds bounds the change.
      reference: a trial is compared with the value of the image before this round ("current"), or of the clean image
        throughout, which is the published listing's rule ("clean").

    Returns:
      Images inside the bounds, and the queries of each: the pixels and one, a round.

    References:
      A course project on label_score (2023), see recipe `label_score`. As there, trials are not clipped. There no label
      was held: `keep_label=False`.
    """
    del keys
    if reference not in ("current", "clean"):
        raise ValueError(f"reference is {reference!r}: expected current or clean")
    images = np.array(bounds.clean)
    n, shape, pixels = len(images), images.shape[1:], images[0].size
    current = asked(value, images, np.arange(n))
    first, queries, over = current.copy(), np.ones(n, np.int64), np.zeros(n, bool)
    for _ in range(rounds):
        going = np.flatnonzero((current >= stop) & ~over)
        if not len(going):
            break
        rows, places = np.repeat(going, pixels), np.tile(np.arange(pixels), len(going))

        def spiked(i: np.ndarray, rows=rows, places=places) -> np.ndarray:
            """The values of trials i, each an image with one pixel raised."""
            tried = images[rows[i]].reshape(len(i), pixels)
            tried[np.arange(len(i)), places[i]] += np.float32(step)
            return np.asarray(value(tried.reshape(-1, *shape), rows[i]), np.float64)

        tried = _in_parts(spiked, len(rows), min(AT_ONCE, n * pixels)).reshape(len(going), pixels)
        up = tried <= (current if reference == "current" else first)[going, None]
        change = np.zeros_like(images)
        change[going] = np.where(up, step, -step).reshape(-1, *shape)
        moved = np.asarray(norms.project(norm, bounds, images + change))
        found = asked(value, moved[going], going, n)
        queries[going] += pixels + 1
        held, lost = going[found < LOST], going[found >= LOST]
        images[held], current[held], over[lost] = moved[held], found[found < LOST], True
    return images, queries


def spsa(
    keys: jax.Array,
    value: Value,
    bounds: Bounds,
    norm: str,
    *,
    steps: int = 20,
    samples: int = 64,
    reach: float = 0.05,
    share: float = 0.125,
    decay: float = 0.75,
) -> tuple[np.ndarray, np.ndarray]:
    """Descent along gradients estimated from pairs of random signs: 2 x samples queries a step.

    Args:
      samples: pairs a step. reach: how far a pair lies on both sides, in pixels of [0, 1].
      share: length of a step, as a share of epsilon. decay: of the sum of the estimates so far.

    References:
      Uesato et al., "Adversarial risk and the dangers of evaluating against weak attacks" (arXiv 1802.05666),
      algorithm 1; steps are along the steepest direction of the norm there with momentum, in place of Adam.
    """
    images, velocity = np.array(bounds.clean), np.zeros(bounds.clean.shape, np.float32)
    n, shape = len(images), images.shape[1:]
    rows = np.arange(n)
    best, lowest = images.copy(), asked(value, images, rows)

    def slopes(i: np.ndarray, t: int) -> np.ndarray:
        """The estimates for images i."""
        signs = np.asarray(_signs(keys[i], t, (samples, *shape)))  # [len(i), samples, H, W, C]
        pairs = np.concatenate([images[i, None] + reach * signs, images[i, None] - reach * signs], axis=1)
        pairs = np.clip(pairs, 0.0, 1.0).reshape(-1, *shape)
        found = asked(value, pairs, np.repeat(i, 2 * samples)).reshape(len(i), 2, samples)
        rise = found[:, 0] - found[:, 1]
        rise[np.abs(rise) > LOST / 100] = 0.0  # the label is lost on one side only: a jump has no slope
        total = rise[:, None] @ signs.reshape(len(i), samples, -1)
        return (total / (2 * reach * samples)).astype(np.float32).reshape(-1, *shape)

    for t in range(steps):
        # As many images together as their pairs may be shown at once.
        slope = _in_parts(functools.partial(slopes, t=t), n, min(n, max(1, AT_ONCE // (2 * samples))))
        size = np.abs(slope).mean(axis=(1, 2, 3), keepdims=True)
        velocity = decay * velocity + slope / np.maximum(size, np.finfo(np.float32).tiny)
        images = np.asarray(norms.move(norm, bounds, images, -velocity, share))
        values = asked(value, images, rows)
        lower = values < lowest
        best[lower], lowest = images[lower], np.minimum(values, lowest)
    return best, np.full(n, 1 + steps * (2 * samples + 1))


@functools.partial(jax.jit, static_argnums=2)
def _signs(keys: jax.Array, t: int, shape: tuple[int, ...]) -> jax.Array:
    """1 or -1 for each of keys [n] at step t: float32 [n, *shape]; of an image the same in any batch."""
    return jax.vmap(lambda key: jax.random.rademacher(jax.random.fold_in(key, t), shape, np.float32))(keys)


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
        top, left, signs = draws[:, t, :1], draws[:, t, 1:2], draws[:, t, None, None, 2:]
        inside = _covers(top, height, side)[:, :, None, None] & _covers(left, width, side)[:, None, :, None]
        moved = clean + epsilon * np.where(signs < 0.5, -1, 1).astype(np.float32)
        tried = np.asarray(norms.project(norm, bounds, np.where(inside, moved, best)))
        values = asked(value, tried, rows)
        lower = values < lowest
        best[lower], lowest = tried[lower], np.minimum(values, lowest)
    return best, np.full(n, max(queries, 2))


def _covers(draws: np.ndarray, length: int, side: int) -> np.ndarray:
    """Which of `length` lines a square of that side covers, laid by draws [n, 1] in [0, 1): bool [n, length]."""
    begin, lines = (draws * (length - side + 1)).astype(int), np.arange(length)[None]
    return (begin <= lines) & (lines < begin + side)
