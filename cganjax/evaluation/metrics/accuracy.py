"""Is each image read as the class that was asked for?

The GAN-test of Shmelkov et al., "How good is my GAN?" (arXiv 1807.09499), section 3.2: the accuracy of a classifier
trained on real data, on generated images. It rewards typical images, and collapse: read it beside diversity.
"""

from typing import Any

import numpy as np

from cganjax.evaluation.metrics import checks


def confusion(labels: Any, answers: Any, num_classes: int) -> np.ndarray:
    """Counts int [K, K]: row the class asked for, column the class read. ValueError where N is 0 or lengths differ."""
    answers = np.asarray(answers)
    checks.enough(len(answers), "accuracy", 1)
    labels = checks.same_length(len(answers), labels)
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def accuracy(labels: Any, answers: Any, num_classes: int) -> dict[str, Any]:
    """Share read right, by class too (None of a class without images), and the confusion matrix as lists.

    Args:
      labels: int [N], what was asked for. answers: int [N], what the classifier reads. Both in 0..K-1.
    """
    counts = confusion(labels, answers, num_classes)
    asked, right = counts.sum(axis=1), np.diag(counts)
    return {
        "accuracy": float(right.sum() / asked.sum()),
        "accuracy_by_class": [float(r / a) if a else None for r, a in zip(right, asked, strict=True)],
        "confusion": counts.tolist(),
    }
