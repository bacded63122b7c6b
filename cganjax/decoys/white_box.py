"""How well decoys deceive the classifier that they were made against: one row per target, method and epsilon.

experiments/white_box.py makes the published table.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from cganjax import rng, scores
from cganjax.decoys import craft, pool
from cganjax.decoys.detectors import Detector


class Row(NamedTuple):
    """One attack on one target, as it is written: percentages and seconds are texts."""

    target: str
    method: str
    epsilon: float
    seed: int
    images: int  # that were generated
    counted: int  # images that were usable before the attack
    below_half: str  # confidence below 0.5
    rejected: str
    kept: str  # still classified as before
    both: str  # rejected, and still classified as before
    onlooker: str  # classified as the label by the held-out classifier
    queries: int
    seconds: str


class Setting(NamedTuple):
    """An attack: its method, epsilon and other settings."""

    method: str
    epsilon: float
    settings: Mapping[str, Any] = {}


class Images(NamedTuple):
    """Generated images, and what they came from."""

    generator: Callable
    z: np.ndarray  # float [N, L]
    labels: np.ndarray  # int [N]
    clean: np.ndarray  # float32 [N, H, W, C] in [0, 1]


def usable(classifier: Callable, images: Images, detector: Detector) -> np.ndarray:
    """Which images count: classified correctly and accepted; for sigmoids, a highest output above 0.5.

    The rule for sigmoids is that of the authors of label-score.
    """
    above = 0.5 if scores.kind_of(classifier) == "sigmoid" else None
    return pool.usable(classifier, images.clean, images.labels, detector, above=above)


def row(
    key: jax.Array,
    name: str,
    classifier: Callable,
    detector: Detector,
    held_out: Callable,
    images: Images,
    counted: np.ndarray,
    setting: Setting,
    seed: int,
) -> Row:
    """Attack the images that count, and measure.

    Args:
      key: the attack uses a key of this one and the method's name.
      counted: bool [N], as of `usable`.
      held_out: a classifier that took no part.
      seed: for the row alone.
    """
    labels = images.labels[counted]
    given = {}
    if setting.method.startswith("latent"):
        given = {"generator": images.generator, "z": images.z[counted], "labels": labels}
    began = time.perf_counter()
    result = craft.decoy(
        rng.stream(key, setting.method),
        images.clean[counted],
        classifier,
        epsilon=setting.epsilon,
        method=setting.method,
        detector=detector,
        **given,
        **setting.settings,
    )
    seconds = time.perf_counter() - began
    by_held_out = scores.predictions_of(held_out, result.images) == labels
    return Row(
        name,
        setting.method,
        setting.epsilon,
        seed,
        len(images.labels),
        int(counted.sum()),
        _percent(result.confidence < 0.5),
        _percent(result.rejected),
        _percent(result.label_kept),
        _percent(result.rejected & result.label_kept),
        _percent(by_held_out),
        int(result.queries.mean()),
        f"{seconds:.1f}",
    )


def _percent(found: np.ndarray) -> str:
    return f"{100 * np.mean(found):.2f}"
