"""`evaluate`: the figures of generated images, with what they were measured by, intervals, and rows to compare with.

The metrics themselves are in `cganjax/metrics`; here is what each needs, and how they are put together.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import pixels, sampling, scores
from cganjax.evaluation import reference as references
from cganjax.evaluation.metrics import (
    accuracy,
    bootstrap,
    cas,
    checks,
    diversity,
    frechet,
    kernel,
    neighbours,
    two_sample,
)
from cganjax.evaluation.reference import Reference

EXTRACTOR, JUDGE = "digits-v1", "digits-judge"
# The figures of a whole set of images that are one number, in the order of tables.
SHORT = (
    "accuracy",
    "frechet",
    "frechet_train",
    "kid",
    "kid_std",
    "precision",
    "recall",
    "density",
    "coverage",
    "pixel_std",
    "feature_distance",
    "memorised_pixels",
    "memorised_features",
    "nearest_pixels",
    "nearest_features",
    "cas",
    "two_sample",
    "two_sample_p",
)


class Given(NamedTuple):
    """The images to be measured, in an order that their content decides, and what the two networks say of them."""

    images: np.ndarray  # float32 [N, H, W, C] in [0, 1]
    labels: np.ndarray | None  # int [N]
    num_classes: int
    features: np.ndarray  # float64 [N, F], scaled as the reference's
    confidence: np.ndarray | None  # float32 [N, K], the judge's


class Measured(NamedTuple):
    """All that was found of one set of images."""

    figures: dict[str, Any]  # plain numbers, and lists of them
    intervals: dict[str, list[float]]  # [low, high] of some of them
    seconds: dict[str, float]  # by part
    given: Given
    seen: dict[str, Any]  # arrays behind the figures


class Part(NamedTuple):
    """What one metric found."""

    figures: dict[str, Any]  # plain numbers and lists of them
    intervals: dict[str, list[float]] = {}  # [low, high] of some of them
    seen: dict[str, Any] = {}  # arrays behind them, for pictures


# --- each metric ------------------------------------------------------------------------------------------------------


def _accuracy(given: Given, reference: Reference, seed: int) -> Part:
    answers = given.confidence.argmax(axis=1)
    interval = bootstrap.of_mean(answers == given.labels)
    return Part(
        accuracy.accuracy(given.labels, answers, given.num_classes),
        {"accuracy": interval},
        {"confidence": given.confidence},
    )


def _frechet_to(name: str, given: Given, target: frechet.Statistics, seed: int) -> Part:
    value = frechet.distance(frechet.statistics(given.features), target)
    interval = bootstrap.interval(
        lambda weights: frechet.distance(frechet.statistics(given.features, weights), target),
        value,
        len(given.features),
        seed=seed,
        stream=name,
    )
    return Part({name: value}, {name: interval})


def _frechet(given: Given, reference: Reference, seed: int) -> Part:
    return _frechet_to("frechet", given, frechet.statistics(reference.features), seed)


def _frechet_train(given: Given, reference: Reference, seed: int) -> Part:
    return _frechet_to("frechet_train", given, reference.train.statistics, seed)


def _frechet_by_class(given: Given, reference: Reference, seed: int) -> Part:
    found = frechet.by_class(given.features, given.labels, reference.features, reference.labels, given.num_classes)
    return Part({"frechet_by_class": found})


def _kid(given: Given, reference: Reference, seed: int) -> Part:
    mean, std = kernel.kid(given.features, reference.features, seed=seed)
    # So many subsets are independent; the others see the same images again.
    independent = min(len(given.features), len(reference.features)) / kernel.SIZE
    return Part({"kid": mean, "kid_std": std}, {"kid": bootstrap.around(mean, std / np.sqrt(independent))})


def _kid_by_class(given: Given, reference: Reference, seed: int) -> Part:
    found = kernel.by_class(given.features, given.labels, reference.features, reference.labels, given.num_classes)
    return Part({"kid_by_class": found})


def _prdc(given: Given, reference: Reference, seed: int) -> Part:
    # The figures depend on both numbers of images: of the more numerous a part is taken.
    real, generated = reference.features, given.features
    n, random = min(len(real), len(generated)), checks.random(seed, "prdc")
    real, generated = (x if len(x) == n else x[np.sort(random.permutation(len(x))[:n])] for x in (real, generated))
    each = neighbours.of_each(real, generated)._asdict()
    return Part(
        {name: float(v.mean()) for name, v in each.items()} | {"prdc_samples": n},
        {name: bootstrap.of_mean(v) for name, v in each.items()},
    )


def _diversity(given: Given, reference: Reference, seed: int) -> Part:
    std = diversity.pixel_std(given.images, given.labels, given.num_classes)
    apart = diversity.feature_distance(given.features, given.labels, given.num_classes)
    return Part(
        {
            "pixel_std": float(np.mean(std)),
            "pixel_std_by_class": std,
            "feature_distance": float(np.mean(apart)),
            "feature_distance_by_class": apart,
        }
    )


def _memorisation(given: Given, reference: Reference, seed: int) -> Part:
    train, figures, intervals, seen = reference.train, {}, {}, {}
    for kind, mine, theirs, of_real in (
        ("pixels", given.images, train.images, train.nearest_pixels),
        ("features", given.features, train.features, train.nearest_features),
    ):
        index, distance = neighbours.nearest(mine, theirs)
        figures |= {f"{name}_{kind}": v for name, v in neighbours.memorisation(distance, of_real).items()}
        intervals[f"memorised_{kind}"] = bootstrap.of_mean(distance < np.quantile(of_real, 0.01))
        seen[f"nearest_{kind}"] = (index, distance)
    return Part(figures, intervals, seen)


def _cas(given: Given, reference: Reference, seed: int) -> Part:
    found = cas.cas(
        pixels.unit_to_rest(given.images),
        given.labels,
        pixels.unit_to_rest(reference.images),
        reference.labels,
        given.num_classes,
        seed=seed,
    )
    share, n = found["accuracy"], len(reference.images)
    interval = bootstrap.around(share, float(np.sqrt(share * (1 - share) / n)))
    return Part({"cas": share, "cas_by_class": found["accuracy_by_class"]}, {"cas": interval})


def _two_sample(given: Given, reference: Reference, seed: int) -> Part:
    found = two_sample.two_sample(pixels.unit_to_rest(given.images), pixels.unit_to_rest(reference.images), seed=seed)
    share, n = found["two_sample"], min(len(given.images), len(reference.images))
    return Part(found, {"two_sample": bootstrap.around(share, float(np.sqrt(share * (1 - share) / n)))})


class Metric(NamedTuple):
    """A line of the table."""

    compute: Callable[[Given, Reference, int], Part]  # (images, reference, seed)
    at_least: Callable[[int], int]  # features F -> images that it needs ...
    by_class: bool = False  # ... in each class
    labels: bool = False  # labels are needed
    judge: bool = False  # the judge is needed
    train: str = ""  # of the training images "statistics" or "distances" are needed
    real: bool = False  # the reference's images are needed, not their features alone
    trains: bool = False  # it trains a classifier: slow, and done where it is asked for


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(_accuracy, lambda f: 1, labels=True, judge=True),
    "cas": Metric(_cas, lambda f: cas.AT_LEAST, labels=True, real=True, trains=True),
    "diversity": Metric(_diversity, lambda f: 2, by_class=True, labels=True),
    "frechet": Metric(_frechet, lambda f: f + 1),
    "frechet_by_class": Metric(_frechet_by_class, lambda f: f + 1, by_class=True, labels=True),
    "frechet_train": Metric(_frechet_train, lambda f: f + 1, train="statistics"),
    "kid": Metric(_kid, lambda f: kernel.SIZE),
    "kid_by_class": Metric(_kid_by_class, lambda f: 2, by_class=True, labels=True),
    "memorisation": Metric(_memorisation, lambda f: 1, train="distances"),
    "prdc": Metric(_prdc, lambda f: neighbours.K_NEAREST + 1),
    "two_sample": Metric(_two_sample, lambda f: two_sample.AT_LEAST, real=True, trains=True),
}


# --- the door ---------------------------------------------------------------------------------------------------------


def evaluate(
    images: Any,
    labels: Any = None,
    *,
    metrics: Sequence[str] | None = None,
    real: Any = None,
    train: Any = None,
    seed: int = 0,
    extractor: str | os.PathLike = EXTRACTOR,
    judge: str | os.PathLike = JUDGE,
) -> dict[str, Any]:
    """How good generated images are.

    Without `real` and `train` everything is measured against the test images whose features are shipped beside the
    extractor, and no data are needed. Figures of another extractor, reference or number of images do not compare;
    10,000 images of balanced labels are usual. The order of the images does not matter.

    Args:
      images: float [N, 28, 28, 1] in [0, 1], ink = 1.
      labels: int [N], the class asked for of each; None for images without, of which fewer metrics are taken.
      metrics: some of `evaluation.METRICS`: "accuracy", "diversity", "frechet", "frechet_by_class", "frechet_train",
        "kid", "kid_by_class", "memorisation", "prdc", and those that train a classifier, "cas" and "two_sample".
        Default: all but these two, as far as labels and data are given.
      real: real images to measure against, a pair (images, labels) or a `cganjax.data.Dataset`.
      train: the generator's training images, likewise: for "memorisation", and for "frechet_train" against them.
      seed: of subsets, bootstrap draws and trainings, 0 or more.
      extractor: a classifier with features: a shipped name or a folder.
      judge: the classifier that reads the images, of another training than the extractor: likewise.

    Returns:
      Plain numbers by name, lists of them a class (`frechet_by_class`), and `samples`, `seed`, `metrics`, `extractor`
      and `judge` (name and SHA-256 of the weights), `reference` and `train` (what they are), `intervals` (95 %, by the
      name of the figure: over the images, with the reference as it is; of recall and coverage over the reference, of
      KID over both, of CAS over the real test images, of the two-sample test over its test halves),
      `left_out` (metric -> why), `seconds` (by part), `rows` (figures of real images, of shuffled labels and
      of one image a class, where the reference has them).

    Raises:
      ValueError: images of another shape or range, NaN, all the same, too few for a metric (it says how many it needs);
        labels of another length or out of range; an extractor that is the judge too; an unknown metric (the known ones
        are named); data that it needs.
      TypeError: labels that are not integers.
      FileNotFoundError, CheckpointError: see `cganjax.load`.

    >>> figures = cganjax.evaluate(images, labels)  # doctest: +SKIP
    >>> figures["frechet"], figures["intervals"]["frechet"]  # doctest: +SKIP
    """
    names = check_names(metrics)
    check_seed(seed)
    folder, extractor = ckpt.find(extractor), sampling.load_classifier(extractor)
    images, labels = check_given(images, labels, extractor.image_shape, extractor.num_classes)
    if real is not None:
        reference = references.of_real(extractor, _real(real, extractor, "real"))
    else:
        reference = references.read(folder, extractor)
    if reference is None:
        raise ValueError(
            f"{extractor.card['name']} has no shipped reference: give real=(images, labels), real test "
            "images to measure against"
        )
    if train is not None:
        distances = metrics is None or "memorisation" in names
        reference = references.with_train(extractor, reference, _real(train, extractor, "train"), distances)
    names, left_out = fitting(names, metrics is not None, labels is not None, reference)
    check_enough(names, labels, len(images), extractor.num_classes, reference.features.shape[1])
    judge = sampling.load_classifier(judge) if any(METRICS[name].judge for name in names) else None
    check_judge(extractor, judge)
    found = measure(images, labels, reference, extractor, judge, names, seed=seed)
    return found.figures | {
        "samples": len(images),
        "seed": int(seed),
        "metrics": list(names),
        "left_out": left_out,
        "extractor": named(extractor),
        "judge": judge and named(judge),
        "reference": dict(reference.about),
        "train": reference.train and dict(reference.train.about),
        "intervals": found.intervals,
        "seconds": found.seconds,
        "rows": rows_for(reference, judge),
    }


def measure(
    images: np.ndarray,
    labels: np.ndarray | None,
    reference: Reference,
    extractor: Any,
    judge: Any,
    names: Sequence[str],
    *,
    seed: int = 0,
    on_part: Callable[[str], None] = lambda name: None,
) -> Measured:
    """`evaluate` for checked images, a reference and networks at hand; `on_part` is told each part as it begins."""
    seconds, figures, intervals, seen = {}, {}, {}, {}

    def part(name, compute):
        on_part(name)
        began = time.perf_counter()
        result = compute()
        seconds[name] = round(time.perf_counter() - began, 3)
        return result

    order = canonical_order(images, labels)
    images, labels = images[order], None if labels is None else labels[order]
    features = part("features", lambda: reference.scale * references.features_of(extractor, images).astype(np.float64))
    asked = judge is not None and any(METRICS[name].judge for name in names)
    confidence = part("judge", lambda: scores.confidences_of(judge, images)) if asked else None
    given = Given(images, labels, extractor.num_classes, features, confidence)
    for name in names:
        found = part(name, lambda: METRICS[name].compute(given, reference, seed))
        figures, intervals, seen = figures | found.figures, intervals | found.intervals, seen | found.seen
    return Measured(figures, intervals, seconds, given, seen)


def rows_for(reference: Reference, judge: Any) -> dict[str, Any]:
    """The rows of a reference; without accuracies where another judge read them."""
    same = judge is not None and references.digest_of(judge) == reference.judge
    judged = () if same else ("accuracy", "accuracy_by_class", "confusion")
    return {name: {k: v for k, v in row.items() if k not in judged} for name, row in reference.rows.items()}


def named(classifier: Any) -> dict[str, str]:
    """What pins a classifier: its name and the SHA-256 of its weights."""
    return {"name": classifier.card["name"], "sha256": references.digest_of(classifier)}


def canonical_order(images: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """An order [N] that the images and labels alone decide, so that no draw depends on how they were given."""
    labels = np.zeros(len(images), np.int64) if labels is None else labels
    digests = [hashlib.md5(x.tobytes() + bytes([y % 256])).digest() for x, y in zip(images, labels, strict=True)]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


# --- checks -----------------------------------------------------------------------------------------------------------


def check_names(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """The metrics asked for; all that train no classifier where None. ValueError names the known ones."""
    if metrics is None:
        return tuple(name for name, line in METRICS.items() if not line.trains)
    names = (metrics,) if isinstance(metrics, str) else tuple(dict.fromkeys(metrics))
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        what = f"unknown metric {unknown[0]!r}" if unknown else "no metric was given"
        raise ValueError(f"{what}: known are {', '.join(METRICS)}")
    return names


def check_seed(seed: int) -> None:
    """ValueError where it is no seed of ours."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed!r}: expected a whole number within 0 and 2^32 - 1")


def check_judge(extractor: Any, judge: Any) -> None:
    """ValueError where one network is both: accuracy would then be by the features that all else is measured in."""
    if judge is not None and references.digest_of(judge) == references.digest_of(extractor):
        raise ValueError(f"{judge.card['name']} is the extractor and the judge: give another judge, such as {JUDGE}")


def check_given(
    images: Any, labels: Any, image_shape: tuple[int, ...], num_classes: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images float32 [N, H, W, C] in [0, 1] and labels int32 [N] or None; errors as `evaluate` says."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != tuple(image_shape) or len(images) == 0:
        raise ValueError(f"images have shape {images.shape}: expected [N, {', '.join(map(str, image_shape))}], N > 0")
    if images.dtype.kind not in "fiub":
        raise ValueError(f"images are {images.dtype}: expected numbers in [0, 1], ink = 1")
    images = np.asarray(pixels.check_unit(images))
    if len(images) > 1 and (images == images[:1]).all():
        raise ValueError(f"all {len(images):,} images are the same one: there is nothing to measure")
    if (images == images[:, :1, :1]).all():
        raise ValueError("every image is constant, all of its pixels alike: there is nothing to measure")
    if labels is None:
        return images, None
    labels = np.asarray(sampling.check_labels(labels, num_classes))
    if len(labels) != len(images):
        raise ValueError(f"{len(images):,} images and {len(labels):,} labels were given: expected one for each image")
    return images, labels


def _real(given: Any, extractor: Any, name: str) -> references.Real:
    real = references.real_images(given, extractor.image_shape, name)
    try:
        return real._replace(labels=np.asarray(sampling.check_labels(real.labels, extractor.num_classes)))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def fitting(
    names: Sequence[str], asked: bool, labelled: bool, reference: Reference
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The metrics that can be taken, and why others cannot; ValueError for these where they were asked for."""
    left_out = {}
    for name in names:
        line, train = METRICS[name], reference.train
        if line.labels and not labelled:
            left_out[name] = "needs labels"
        elif line.real and reference.images is None:
            left_out[name] = "needs real=, real test images and their labels"
        elif line.train and train is None:
            left_out[name] = "needs train=, the generator's training images and their labels"
        elif line.train == "distances" and train.images is None:
            left_out[name] = "needs train=, the generator's training images and their labels"
        elif line.train == "distances" and train.nearest_pixels is None:
            left_out[name] = "needs real= beside train=, real test images and their labels"
    if asked and left_out:
        raise ValueError("; ".join(f"{name} {why}" for name, why in left_out.items()))
    return tuple(name for name in names if name not in left_out), left_out


def check_enough(names: Sequence[str], labels: np.ndarray | None, n: int, num_classes: int, size: int) -> None:
    """ValueError that says how many images the metrics need, where there are too few for some."""
    said = []
    for name in names:
        line, needed = METRICS[name], METRICS[name].at_least(size)
        if line.by_class:
            counts = np.bincount(labels, minlength=num_classes)
            if counts.min() < needed:
                k = int(counts.argmin())
                said.append(f"{name} needs at least {needed:,} images a class and class {k} has {counts[k]:,}")
        elif n < needed:
            said.append(f"{name} needs at least {needed:,} images")
    if said:
        raise ValueError(f"{n:,} images are too few: {'; '.join(said)}. Give more, or choose others by metrics=")
