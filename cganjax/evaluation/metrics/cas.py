"""The classification accuracy score: can a classifier that saw generated images only read real ones?

Ravuri and Vinyals, "Classification accuracy score for conditional generative models" (arXiv 1905.10887), section 3; the
GAN-train of Shmelkov et al. (arXiv 1807.09499), section 3.2. It falls with wrong labels, poor images and lacking
variety alike. Real training images of the same number, under the same recipe, are what it compares with.
"""

from typing import Any

import numpy as np

from cganjax.evaluation.metrics import checks, training
from cganjax.evaluation.metrics.accuracy import accuracy

AT_LEAST = 1000


def cas(
    images: np.ndarray,
    labels: Any,
    real: np.ndarray,
    real_labels: Any,
    num_classes: int,
    *,
    seed: int = 0,
    recipe=training.RECIPE,
) -> dict[str, Any]:
    """Train on generated images, choose by a tenth of them held out, test on real ones.

    Args:
      images: uint8 [N, H, W, C], generated for labels int [N]; at least 1,000.
      real: uint8 [M, H, W, C], real test images with their labels int [M].
      seed: of the training.

    Returns:
      As `accuracy.accuracy`.

    Raises:
      ValueError: too few images, or labels of another length.
    """
    checks.enough(len(images), "CAS", AT_LEAST)
    labels, real_labels = checks.same_length(len(images), labels), checks.same_length(len(real), real_labels)
    classify = training.fit(images, labels, num_classes, seed=seed, stream="cas", recipe=recipe)
    return accuracy(real_labels, classify(real), num_classes)
