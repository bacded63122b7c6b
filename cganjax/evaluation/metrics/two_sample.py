"""The classifier two-sample test: how well a classifier distinguishes unseen generated images from unseen real ones.

Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (arXiv 1610.06545), section 3. An accuracy of one half is
the best result of a generator. The test is strict: the images of most generators are nearly always distinguished.
"""

import math
from typing import Any

import numpy as np

from cganjax import pixels
from cganjax.evaluation.metrics import bootstrap, checks, training
from cganjax.evaluation.records import Given, Reference, Result

AT_LEAST = 1000


def two_sample(images: np.ndarray, real: np.ndarray, *, seed: int = 0, recipe=training.RECIPE) -> dict[str, Any]:
    """Train on one half of each set, test on the other half.

    Args:
      images: uint8 [N, H, W, C], generated; at least 1,000. Both are uint8, so that rounding does not give one away.
      real: uint8 [M, H, W, C]; at least 1,000. A random part of the larger set is used, as many as the other.
      seed: of the halves and the training.

    Returns:
      `two_sample`, the accuracy on the other halves (their eq. 2), and `two_sample_p`, the probability of at least that
      accuracy if both have one distribution: it is then normal about 1/2 with variance 1 / (4 n) for n images.

    Raises:
      ValueError: too few images.
    """
    checks.enough(len(images), "the two-sample test", AT_LEAST)
    checks.enough(len(real), "the two-sample test", AT_LEAST, "real images")
    n, random = min(len(images), len(real)), checks.random(seed, "two-sample halves")
    both = [random.permutation(len(x))[:n] for x in (images, real)]
    halves = [
        (np.concatenate([images[both[0][part]], real[both[1][part]]]), np.repeat([1, 0], len(both[0][part])))
        for part in (slice(None, n // 2), slice(n // 2, None))
    ]
    classify = training.fit(*halves[0], 2, seed=seed, stream="two-sample", recipe=recipe)
    test, truth = halves[1]
    found = float(np.mean(classify(test) == truth))
    p = 0.5 * math.erfc((found - 0.5) * 2 * math.sqrt(len(test)) / math.sqrt(2))
    return {"two_sample": found, "two_sample_p": p}


def compute(given: Given, reference: Reference, seed: int) -> Result:
    """The metric `two_sample`; its interval is over the test halves."""
    found = two_sample(pixels.unit_to_rest(given.images), pixels.unit_to_rest(reference.images), seed=seed)
    fraction, n = found["two_sample"], min(len(given.images), len(reference.images))
    interval = bootstrap.around(fraction, float(np.sqrt(fraction * (1 - fraction) / n)))
    return Result(found, {"two_sample": interval})
