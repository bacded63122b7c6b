"""Precision, recall, density and coverage: how two sets of features overlap, by nearest neighbours."""

from typing import Any, NamedTuple

import numpy as np

from cganjax.evaluation.metrics import bootstrap, checks, neighbours
from cganjax.evaluation.records import Given, Reference, Result

K_NEAREST = 5  # as Naeem et al. advise; Kynkaanniemi et al. use 3


class OfEach(NamedTuple):
    """The values whose means are the four figures."""

    precision: np.ndarray  # bool [M], a generated image lies within a real one's ball
    recall: np.ndarray  # bool [N], a real image lies within a generated one's ball
    density: np.ndarray  # float64 [M], the number of real balls that a generated image lies in, over k
    coverage: np.ndarray  # bool [N], a real image's ball holds a generated one


def prdc(real: Any, generated: Any, k: int = K_NEAREST) -> dict[str, float]:
    """Precision, recall, density and coverage of generated features [M, F] against real ones [N, F].

    The ball around a point reaches to its k-th nearest neighbour in its own set. The figures depend on N and M: compare
    equal numbers only.

    Raises:
      ValueError: fewer than k + 1 rows, or different sizes.

    References:
      Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models" (arXiv 1904.06991),
      eq. 1 and 2; Naeem et al., "Reliable fidelity and diversity metrics for generative models" (arXiv 2002.09797),
      section 3.2.
    """
    return {name: float(values.mean()) for name, values in of_each(real, generated, k)._asdict().items()}


def of_each(real: Any, generated: Any, k: int = K_NEAREST, block: int = neighbours.BLOCK) -> OfEach:
    """The values of `prdc` before the means are taken; arguments and errors as there."""
    real, generated = (checks.features(f, "PRDC", k + 1) for f in (real, generated))
    checks.same_size(real, generated)
    around_real, around_generated = neighbours.radii(real, k, block), neighbours.radii(generated, k, block)
    balls = np.zeros(len(generated), np.int64)
    recall, coverage = [], []
    for rows, between in neighbours.squared_distances(real, generated, block):  # between [B, M]
        own = around_real[rows]
        balls += (between < own[:, None]).sum(axis=0)
        recall.append((between < around_generated).any(axis=1))
        coverage.append(between.min(axis=1) < own)
    return OfEach(balls > 0, np.concatenate(recall), balls / k, np.concatenate(coverage))


def compute(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `prdc`, on equal numbers of images: a random part of the larger set is used."""
    real, generated = reference.features, given.features
    n, random = min(len(real), len(generated)), checks.random(seed, "prdc")
    real, generated = (x if len(x) == n else x[np.sort(random.permutation(len(x))[:n])] for x in (real, generated))
    each = of_each(real, generated)._asdict()
    return Result(
        {name: float(v.mean()) for name, v in each.items()} | {"prdc_samples": n},
        {name: bootstrap.of_mean(v) for name, v in each.items()},
    )
