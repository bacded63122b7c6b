"""The records of an evaluation: the reference, what a metric is given and returns, and what is known of each metric.

`Metric` is the type of the entries of `table.METRICS`. Nothing here computes a figure.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cganjax.spec import ImageSpec


class Unmeasurable(ValueError):
    """What was given cannot be measured: too few images, images that are all alike, NaN; the message says what to do.

    Checks of what users give raise it, so that a command can tell their mistakes from errors of our own.
    """


class Real(NamedTuple):
    """Real images and their labels."""

    images: np.ndarray  # float32 [N, H, W, C] in [0, 1]
    labels: np.ndarray  # int [N]
    about: Mapping[str, Any]  # their number, and name, split and fingerprint if they are known


class Train(NamedTuple):
    """The training images of a generator, or what is shipped of them."""

    statistics: Any  # `metrics.frechet.Statistics` of their features
    about: Mapping[str, Any]
    images: np.ndarray | None = None  # float32 [T, H, W, C] in [0, 1]
    labels: np.ndarray | None = None  # int [T]
    features: np.ndarray | None = None  # float32 [T, F]
    # From each reference image to its nearest training image, float [M]; None if they were never computed.
    nearest_pixels: np.ndarray | None = None
    nearest_features: np.ndarray | None = None


class Reference(NamedTuple):
    """The real images that generated images are compared with."""

    about: Mapping[str, Any]
    features: np.ndarray  # float64 [M, F], of mean square 1
    labels: np.ndarray  # int [M]
    scale: float  # the factor that an extractor's features are multiplied by
    images: np.ndarray | None = None  # float32 [M, H, W, C] in [0, 1]; None if the reference was shipped
    train: Train | None = None
    classifier: str | None = None  # the SHA-256 of the reference classifier behind the accuracies of `rows`
    rows: Mapping[str, Any] = {}  # name -> figures of real images and of known failures


class Given(NamedTuple):
    """The images to measure, in an order that their content decides, and the outputs of the two networks on them."""

    images: np.ndarray  # float32 [N, H, W, C] in [0, 1]
    labels: np.ndarray | None  # int [N]
    num_classes: int  # K
    features: np.ndarray  # float64 [N, F], the extractor's, scaled as those of the reference
    confidence: np.ndarray | None  # float32 [N, K], the reference classifier's


class Result(NamedTuple):
    """What one metric found."""

    figures: dict[str, Any]  # plain numbers, and lists of them
    intervals: dict[str, list[float]] = {}  # [low, high] of some of them
    seen: dict[str, Any] = {}  # the arrays behind them, for pictures


class Measured(NamedTuple):
    """What all metrics found of one set of images."""

    figures: dict[str, Any]  # plain numbers, and lists of them
    intervals: dict[str, list[float]]  # [low, high] of some of them
    seconds: dict[str, float]  # the time that each part took
    given: Given
    seen: dict[str, Any]  # the arrays behind the figures


def _nothing(features: int) -> int:
    return 0


def _every_spec(spec: ImageSpec) -> str | None:
    return None


class Metric(NamedTuple):
    """One entry of the table of metrics: how to compute it, and what it needs."""

    compute: Callable[[Given, Reference, int], Result]  # (images, reference, seed) -> figures
    at_least: Callable[[int], int]  # features F -> the number of generated images that it needs ...
    of_reference: Callable[[int], int] = _nothing  # ... and of images of the reference
    in_each_class: bool = False  # whether it needs so many in each class
    figures: tuple[str, ...] = ()  # its figures that are single numbers, in the order of the printed table
    lists: tuple[str, ...] = ()  # its figures of one number per class that are printed below the table
    labels: bool = False  # whether it needs labels
    classifier: bool = False  # whether it needs the reference classifier
    train: str = ""  # what it needs of the training images: "", "statistics" or "distances"
    real: bool = False  # whether it needs the images of the reference, not only their features
    trains: bool = False  # whether it trains a classifier: slow, and computed only if it is asked for
    refuses: Callable[[ImageSpec], str | None] = _every_spec  # why it cannot measure images of a spec, or None
