"""Images to attack, and the random noise that an attack is compared with."""

from collections.abc import Callable

import jax
import numpy as np

from cganjax import rng, scores
from cganjax.decoys.attacks import norms
from cganjax.decoys.detectors import Detector


def usable(
    classifier: Callable,
    images: np.ndarray,
    labels: np.ndarray,
    detector: Detector | None = None,
    *,
    above: float | None = None,
) -> np.ndarray:
    """Which images can show what an attack does, because they are what they should be before it.

    Args:
      images: [N, H, W, C] in [0, 1]. labels: int [N], their classes.
      detector: of the classifier; None accepts all.
      above: count images by a highest confidence above this alone, instead of by class and detector.

    Returns:
      bool [N]: the classifier predicts the label and the detector accepts the image.
    """
    confidence = scores.confidences_of(classifier, images)
    if above is not None:
        return confidence.max(axis=1) > above
    correct = confidence.argmax(axis=1) == labels
    return correct if detector is None else correct & ~np.asarray(detector.rejects(images))


def noise(key: jax.Array, images: np.ndarray, epsilon: float, norm: str = "linf") -> np.ndarray:
    """Images with uniform random noise within epsilon: [N, H, W, C] in [0, 1]; image i depends on (key, i) alone."""
    bounds = norms.Bounds(images, np.full(len(images), epsilon, np.float32), np.ones_like(images))
    return np.asarray(norms.random_start(rng.items(key, len(images)), norm, bounds))
