"""How varied the images within a class are: a generator that draws one image a class has 0 of both figures."""

from typing import Any

import numpy as np

from cganjax.evaluation.metrics import checks


def pixel_std(images: Any, labels: Any, num_classes: int) -> list[float]:
    """The standard deviation of a pixel over the images of a class, averaged over pixels; a number a class.

    Args:
      images: float [N, H, W, C] in [0, 1]. labels: int [N].

    Raises:
      ValueError: a class has fewer than 2 images, named.
    """
    images = np.asarray(images)
    labels = checks.same_length(len(images), labels)
    found = []
    for k, rows in enumerate(checks.rows_of(labels, num_classes)):
        checks.enough(len(rows), "diversity", 2, f"images of class {k}")
        found.append(float(images[rows].astype(np.float64).std(axis=0).mean()))
    return found


def feature_distance(features: Any, labels: Any, num_classes: int, block: int = 1000) -> list[float]:
    """The mean Euclidean distance between two different images of a class, in features [N, F]; a number a class.

    The diversity score that Zhu et al., "Toward multimodal image-to-image translation" (arXiv 1711.11586), section 5,
    take between samples of one condition, with our features in place of theirs. Errors as above.
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
