"""How varied the images within a class are: both figures are 0 if a generator makes only one image per class."""

from typing import Any

import numpy as np

from cganjax.evaluation.metrics import checks
from cganjax.evaluation.records import Given, Reference, Result


def pixel_std(images: Any, labels: Any, num_classes: int) -> list[float]:
    """The standard deviation of a pixel over the images of a class, averaged over pixels: one number per class.

    Args:
      images: float [N, H, W, C] in [0, 1]. labels: int [N].

    Raises:
      ValueError: a class has fewer than 2 images; it is named.
    """
    images = np.asarray(images)
    labels = checks.same_length(len(images), labels)
    found = []
    for k, rows in enumerate(checks.rows_of(labels, num_classes)):
        checks.enough(len(rows), "diversity", 2, f"images of class {k}")
        found.append(float(images[rows].astype(np.float64).std(axis=0).mean()))
    return found


def feature_distance(features: Any, labels: Any, num_classes: int, block: int = 1000) -> list[float]:
    """The mean Euclidean distance between two different images of a class, in features [N, F]: one number per class.

    This is the diversity score of Zhu et al., "Toward multimodal image-to-image translation" (arXiv 1711.11586),
    section 5, between samples of one condition, with our features instead of theirs.

    Raises:
      ValueError: a class has fewer than 2 images; it is named.
    """
    features = checks.features(features, "diversity", 2)
    labels = checks.same_length(len(features), labels)
    found = []
    for k, rows in enumerate(checks.rows_of(labels, num_classes)):
        checks.enough(len(rows), "diversity", 2, f"images of class {k}")
        x = features[rows] - features[rows].mean(axis=0)
        squares = (x * x).sum(axis=1)
        total = 0.0
        for i in range(0, len(x), block):
            between = squares[i : i + block, None] + squares - 2.0 * x[i : i + block] @ x.T
            # Rounding would leave an image at a distance from itself.
            between[np.arange(len(between)), np.arange(i, i + len(between))] = 0.0
            total += float(np.sqrt(between.clip(0)).sum())
        found.append(total / (len(x) * (len(x) - 1)))
    return found


def compute(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `diversity`: both figures by class, and their means."""
    std = pixel_std(given.images, given.labels, given.num_classes)
    apart = feature_distance(given.features, given.labels, given.num_classes)
    return Result(
        {
            "pixel_std": float(np.mean(std)),
            "pixel_std_by_class": std,
            "feature_distance": float(np.mean(apart)),
            "feature_distance_by_class": apart,
        }
    )
