"""Checks of the arrays that metrics are given, and their named streams of random numbers."""

import zlib
from typing import Any

import numpy as np

from cganjax.evaluation.records import Unmeasurable


def features(x: Any, metric: str, at_least: int) -> np.ndarray:
    """Features as float64 [N, F].

    Raises:
      ValueError: another shape.
      Unmeasurable: a number that is not finite, or fewer than `at_least` rows, which `metric` needs.
    """
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"features have shape {x.shape}: expected [N, F]")
    enough(len(x), metric, at_least)
    if not np.isfinite(x).all():
        raise Unmeasurable(f"{metric} was given features that are NaN or infinite: check the images and the extractor")
    return x


def same_size(a: np.ndarray, b: np.ndarray) -> None:
    """ValueError if two sets of features have different sizes F."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features of size {a.shape[1]} and of size {b.shape[1]} were given: use one extractor for both"
        )


def enough(given: int, metric: str, at_least: int, of: str = "images") -> None:
    """Unmeasurable that says how many a metric needs, if fewer are given."""
    if given < at_least:
        raise Unmeasurable(
            f"{metric} needs at least {at_least:,} {of} and {given:,} were given: give more, or choose other metrics"
        )


def same_length(n: int, labels: Any, what: str = "labels") -> np.ndarray:
    """Labels as an array [N]; ValueError if there are not N of them."""
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{n} images and {what} of shape {labels.shape} were given: expected one for each image")
    return labels


def rows_of(labels: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """The positions of each class 0..K-1."""
    return [np.flatnonzero(labels == k) for k in range(num_classes)]


def random(seed: int, stream: str) -> np.random.Generator:
    """A generator of random numbers for one purpose: the same seed and name always give the same numbers."""
    return np.random.default_rng([seed, zlib.crc32(stream.encode())])
