"""The Frechet distance between two sets of features, each treated as a Gaussian.

Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium" (arXiv 1706.08500),
eq. 6, who call it FID if the features are those of Inception. Distances from different extractors or numbers of samples
cannot be compared: the fewer the samples, the larger the distance.
"""

from typing import Any, NamedTuple

import numpy as np

from cganjax.evaluation.metrics import bootstrap, checks
from cganjax.evaluation.records import Given, Reference, Result


class Statistics(NamedTuple):
    """The Gaussian that is fitted to a set of features."""

    mean: np.ndarray  # float64 [F]
    covariance: np.ndarray  # float64 [F, F], of N - 1


def statistics(features: Any, weights: np.ndarray | None = None) -> Statistics:
    """Mean and covariance of features [N, F]; `weights` [N] say how often each row counts (in a bootstrap).

    Raises:
      ValueError: fewer than F + 1 rows: the covariance would lack rank whatever the images are.
    """
    x = checks.features(features, "the Frechet distance", np.shape(features)[-1] + 1 if np.ndim(features) == 2 else 2)
    if weights is None:
        mean = x.mean(axis=0)
        centred = x - mean
        return Statistics(mean, centred.T @ centred / (len(x) - 1))
    mean = weights @ x / weights.sum()
    centred = x - mean
    return Statistics(mean, (centred * weights[:, None]).T @ centred / (weights.sum() - 1))


def distance(a: Statistics, b: Statistics) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), eq. 6; not negative.

    The trace of the root is the sum of the singular values of C_a^(1/2) C_b^(1/2), with roots from symmetric
    eigen-decompositions: it is real and exact even if a covariance lacks full rank, when `sqrtm` fails.

    Raises:
      ValueError: the two are of different feature sizes.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"statistics of {len(a.mean)} and of {len(b.mean)} features were given: use one extractor")
    of_product = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum()
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    # Rounding can leave a negative remainder of two equal Gaussians.
    return max(0.0, float(np.sum((a.mean - b.mean) ** 2) + traces - 2 * of_product))


def frechet(a: Any, b: Any) -> float:
    """The distance between features [N, F] and [M, F]; N and M at least F + 1."""
    return distance(statistics(a), statistics(b))


def by_class(a: Any, labels_a: Any, b: Any, labels_b: Any, num_classes: int) -> list[float]:
    """The distance within each class 0..K-1; its mean is the within-class distance of Benny et al. (arXiv 2004.12361).

    Raises:
      ValueError: a class has fewer than F + 1 images, named.
    """
    a, b = np.asarray(a), np.asarray(b)
    labels_a, labels_b = checks.same_length(len(a), labels_a), checks.same_length(len(b), labels_b)
    found = []
    both = zip(checks.rows_of(labels_a, num_classes), checks.rows_of(labels_b, num_classes), strict=True)
    for k, (in_a, in_b) in enumerate(both):
        for rows in (in_a, in_b):
            checks.enough(len(rows), "the Frechet distance by class", a.shape[1] + 1, f"images of class {k}")
        found.append(frechet(a[in_a], b[in_b]))
    return found


def compute(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `frechet`: the distance to the reference, with a bootstrap interval over the generated images."""
    return _to("frechet", given, statistics(reference.features), seed)


def compute_train(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `frechet_train`: the same to the training images."""
    return _to("frechet_train", given, reference.train.statistics, seed)


def compute_by_class(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `frechet_by_class`: one distance per class."""
    found = by_class(given.features, given.labels, reference.features, reference.labels, given.num_classes)
    return Result({"frechet_by_class": found})


def _to(name: str, given: Given, target: Statistics, seed: int) -> Result:
    value = distance(statistics(given.features), target)
    interval = bootstrap.interval(
        lambda weights: distance(statistics(given.features, weights), target),
        value,
        len(given.features),
        seed=seed,
        stream=name,
    )
    return Result({name: value}, {name: interval})


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric root of a symmetric matrix without negative eigenvalues (rounding's are taken for 0)."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
