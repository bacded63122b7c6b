"""Memorisation: whether generated images lie nearer to training images than unseen real images do."""

from typing import Any

import numpy as np

from cganjax.evaluation.metrics import bootstrap, checks, neighbours
from cganjax.evaluation.records import Given, Reference, Result

AT_LEAST = 60  # real images whose 1st percentile means something: about the second smallest distance


def memorisation(generated: Any, real: Any) -> dict[str, float]:
    """Are generated images nearer to training images than unseen real ones are?

    Args:
      generated: distances [N] to the nearest training image, from `nearest`.
      real: the same [M] of real images that are not training images; at least 60.

    Returns:
      `memorised`, the fraction of generated images nearer than the 1st percentile of real ones: 0.01 is expected of
      fresh real images, and nearly 1 of a generator that copies. `nearest` and `nearest_real`, the two medians.

    References:
      Meehan et al., "A non-parametric test to detect data-copying in generative models" (arXiv 2004.05675), compare the
      same two sets of distances, by ranks; here one quantile is compared.
    """
    generated, real = np.asarray(generated), np.asarray(real)
    checks.enough(len(real), "memorisation", AT_LEAST, "real images that are not training images")
    checks.enough(len(generated), "memorisation", 1)
    return {
        "memorised": float(np.mean(generated < np.quantile(real, 0.01))),
        "nearest": float(np.median(generated)),
        "nearest_real": float(np.median(real)),
    }


def compute(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `memorisation`, in pixels and in features."""
    train, figures, intervals, seen = reference.train, {}, {}, {}
    for kind, mine, theirs, of_real in (
        ("pixels", given.images, train.images, train.nearest_pixels),
        ("features", given.features, train.features, train.nearest_features),
    ):
        index, distance = neighbours.nearest(mine, theirs)
        figures |= {f"{name}_{kind}": v for name, v in memorisation(distance, of_real).items()}
        intervals[f"memorised_{kind}"] = bootstrap.of_mean(distance < np.quantile(of_real, 0.01))
        seen[f"nearest_{kind}"] = (index, distance)
    return Result(figures, intervals, seen)
