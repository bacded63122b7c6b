"""How many images a reference classifier classifies as the class that was asked for.

The GAN-test of Shmelkov et al., "How good is my GAN?" (arXiv 1807.09499), section 3.2: the accuracy of a classifier
trained on real data, on generated images. It rewards typical images, and collapse: read it beside diversity.
"""

from typing import Any

import numpy as np

from cganjax.evaluation.metrics import bootstrap, checks
from cganjax.evaluation.records import Given, Reference, Result


def confusion(labels: Any, answers: Any, num_classes: int) -> np.ndarray:
    """Counts int [K, K]: the row is the class asked for, the column the classifier's answer.

    Raises:
      ValueError: N is 0, or the lengths differ.
    """
    answers = np.asarray(answers)
    checks.enough(len(answers), "accuracy", 1)
    labels = checks.same_length(len(answers), labels)
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def accuracy(labels: Any, answers: Any, num_classes: int) -> dict[str, Any]:
    """The fraction classified as asked, the same by class (None of a class without images), and the confusion matrix.

    Args:
      labels: int [N], the classes asked for, in 0..K-1.
      answers: int [N], the classes that the classifier answers, in 0..K-1.
      num_classes: K.

    Raises:
      ValueError: N is 0, or the lengths differ.
    """
    counts = confusion(labels, answers, num_classes)
    asked, right = counts.sum(axis=1), np.diag(counts)
    return {
        "accuracy": float(right.sum() / asked.sum()),
        "accuracy_by_class": [float(r / a) if a else None for r, a in zip(right, asked, strict=True)],
        "confusion": counts.tolist(),
    }


def compute(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `accuracy`; its interval is that of a mean over the images."""
    answers = given.confidence.argmax(axis=1)
    return Result(
        accuracy(given.labels, answers, given.num_classes),
        {"accuracy": bootstrap.of_mean(answers == given.labels)},
        {"confidence": given.confidence},
    )
