"""The kernel distance (KID): the squared maximum mean discrepancy of features under a polynomial kernel.

Binkowski et al., "Demystifying MMD GANs" (arXiv 1801.01401), section 4: k(x, y) = (x.y / F + 1)^3, and the unbiased
estimate of Gretton et al. (JMLR 13, 2012), eq. 3. Unlike the Frechet distance its mean does not depend on the number of
samples; it may be a little below 0.
"""

from typing import Any

import numpy as np

from cganjax.evaluation.metrics import bootstrap, checks
from cganjax.evaluation.records import Given, Reference, Result

SUBSETS, SIZE = 100, 1000  # as the paper's authors use them


def mmd2(x: Any, y: Any, block: int = 2000) -> float:
    """The unbiased squared MMD of features [N, F] and [M, F], both at least 2; memory is block^2.

    Raises:
      ValueError: fewer than 2 rows, or different sizes.
    """
    x, y = (checks.features(f, "the kernel distance", 2) for f in (x, y))
    checks.same_size(x, y)
    n, m = len(x), len(y)
    within_x = (_kernel_sum(x, x, block) - _diagonal_sum(x)) / (n * (n - 1))
    within_y = (_kernel_sum(y, y, block) - _diagonal_sum(y)) / (m * (m - 1))
    return float(within_x + within_y - 2 * _kernel_sum(x, y, block) / (n * m))


def kid(x: Any, y: Any, *, seed: int = 0, subsets: int = SUBSETS, size: int = SIZE) -> tuple[float, float]:
    """The mean and the standard deviation of `mmd2` over random subsets of `size` rows of either.

    Args:
      x, y: features [N, F] and [M, F].
      seed: of the subsets; each is drawn without replacement.
      subsets: how many there are.
      size: rows in each.

    Raises:
      ValueError: N or M below `size`.
    """
    x, y = (checks.features(f, "KID", size) for f in (x, y))
    checks.same_size(x, y)
    random = checks.random(seed, "kid")
    values = [
        mmd2(x[random.choice(len(x), size, replace=False)], y[random.choice(len(y), size, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


def by_class(a: Any, labels_a: Any, b: Any, labels_b: Any, num_classes: int) -> list[float]:
    """`mmd2` of all images of each class 0..K-1. ValueError if a class has fewer than 2."""
    a, b = np.asarray(a), np.asarray(b)
    labels_a, labels_b = checks.same_length(len(a), labels_a), checks.same_length(len(b), labels_b)
    found = []
    both = zip(checks.rows_of(labels_a, num_classes), checks.rows_of(labels_b, num_classes), strict=True)
    for k, (in_a, in_b) in enumerate(both):
        for rows in (in_a, in_b):
            checks.enough(len(rows), "the kernel distance by class", 2, f"images of class {k}")
        found.append(mmd2(a[in_a], b[in_b]))
    return found


def compute(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `kid`: mean and standard deviation over subsets."""
    mean, std = kid(given.features, reference.features, seed=seed)
    # Only so many subsets are independent; the others contain the same images again.
    independent = min(len(given.features), len(reference.features)) / SIZE
    return Result({"kid": mean, "kid_std": std}, {"kid": bootstrap.around(mean, std / np.sqrt(independent))})


def compute_by_class(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `kid_by_class`: one kernel distance per class."""
    found = by_class(given.features, given.labels, reference.features, reference.labels, given.num_classes)
    return Result({"kid_by_class": found})


def _cube(products: np.ndarray, size: int) -> np.ndarray:
    products /= size
    products += 1.0
    # Not ** 3, which NumPy hands to a slow power function.
    return products * products * products


def _kernel_sum(x: np.ndarray, y: np.ndarray, block: int) -> float:
    size = x.shape[1]
    return sum(
        float(_cube(x[i : i + block] @ y[j : j + block].T, size).sum())
        for i in range(0, len(x), block)
        for j in range(0, len(y), block)
    )


def _diagonal_sum(x: np.ndarray) -> float:
    return float(_cube((x * x).sum(axis=1), x.shape[1]).sum())
