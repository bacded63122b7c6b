"""The classification accuracy score: how well a classifier trained only on generated images classifies real ones.

Ravuri and Vinyals, "Classification accuracy score for conditional generative models" (arXiv 1905.10887), section 3; the
GAN-train of Shmelkov et al. (arXiv 1807.09499), section 3.2. Wrong labels, poor images
and a lack of variety all lower it. Compare it with that of as many real training images under the same recipe.
"""

from typing import Any

import numpy as np

from cganjax import pixels
from cganjax.evaluation.metrics import bootstrap, checks, training
from cganjax.evaluation.metrics.accuracy import accuracy
from cganjax.evaluation.records import Given, Reference, Result

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
    """Train on generated images, choose the weights by a tenth of them held out, test on real ones.

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


def compute(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `cas`; its interval is over the real test images."""
    found = cas(
        pixels.unit_to_rest(given.images),
        given.labels,
        pixels.unit_to_rest(reference.images),
        reference.labels,
        given.num_classes,
        seed=seed,
    )
    fraction, n = found["accuracy"], len(reference.images)
    interval = bootstrap.around(fraction, float(np.sqrt(fraction * (1 - fraction) / n)))
    return Result({"cas": fraction, "cas_by_class": found["accuracy_by_class"]}, {"cas": interval})
