"""Decoys against any classifier by its outputs alone, beside random noise: one row per method.

experiments/outside.py makes the published table.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from cganjax import rng, scores
from cganjax.decoys import craft, pool
from cganjax.decoys.detectors import Detector

NOISE, METHODS, SPSA_STEPS = "noise", ("square", "spsa"), 20
LEAST_QUERIES = 1 + 3 * SPSA_STEPS


class Row(NamedTuple):
    """One method against one model, as it is written: fractions are texts."""

    model: str
    accuracy: str
    method: str
    epsilon: str
    seed: int
    images: int  # that were generated
    counted: int  # images that were usable before the attack
    clean_confidence: str
    confidence: str
    rejected: str
    kept: str  # still classified as the label
    onlooker: str  # classified as the label by the held-out classifier
    queries: int
    seconds: str
    note: str


def rows(
    key: jax.Array,
    name: str,
    model: Callable,
    detector: Detector,
    held_out: Callable,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    accuracy: float,
    epsilon: float,
    queries: int,
    seed: int,
) -> Iterator[Row]:
    """Noise, `square` and `spsa` with the same budget, on the images that are usable before.

    Args:
      held_out: a classifier that took no part.
      images: [N, H, W, C] in [0, 1], at least one of them usable, and labels int [N].
      accuracy: of the model, for the row; seed likewise.
    """
    before = scores.confidences_of(model, images)
    usable = pool.usable(model, images, labels, detector)
    clean, asked, by_noise = images[usable], labels[usable], np.inf
    for method in (NOISE, *METHODS):
        began = time.perf_counter()
        made, used = _attacked(rng.stream(key, method), clean, model, method, epsilon, queries)
        seconds = time.perf_counter() - began
        after = scores.confidences_of(model, made)
        confidence = after.max(axis=1).mean()
        by_noise = confidence if method == NOISE else by_noise
        yield Row(
            name,
            _percent(accuracy),
            method,
            f"{epsilon:g}",
            seed,
            len(images),
            int(usable.sum()),
            f"{before[usable].max(axis=1).mean():.3f}",
            f"{confidence:.3f}",
            _percent(np.asarray(detector.rejects(made)).mean()),
            _percent((after.argmax(axis=1) == asked).mean()),
            _percent((scores.predictions_of(held_out, made) == asked).mean()),
            used,
            f"{seconds:.1f}",
            "no better than noise" if method != NOISE and confidence >= by_noise else "",
        )


def _attacked(key, clean, model, method: str, epsilon: float, queries: int) -> tuple[np.ndarray, int]:
    """Changed images, and how often the model was asked for each."""
    if method == NOISE:
        return pool.noise(key, clean, epsilon), 0
    # A step of spsa asks for pairs, and for the image that it leads to.
    spsa = {"steps": SPSA_STEPS, "samples": ((queries - 1) // SPSA_STEPS - 1) // 2}
    settings = {"square": {"queries": queries}, "spsa": spsa}[method]
    result = craft.decoy(key, clean, model, epsilon=epsilon, method=method, **settings)
    return result.images, int(result.queries.mean())


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
