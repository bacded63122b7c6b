"""The checks of `evaluate`'s arguments, and which metrics can be computed with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cganjax import checks, pixels
from cganjax.evaluation import reference as references
from cganjax.evaluation.records import Real, Reference, Unmeasurable
from cganjax.evaluation.table import METRICS
from cganjax.spec import ImageSpec


def check_names(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """The metrics to compute; None means all that train no classifier. Unmeasurable names the known ones."""
    if metrics is None:
        return tuple(name for name, metric in METRICS.items() if not metric.trains)
    if isinstance(metrics, (list, tuple, set, frozenset)):
        names = tuple(metrics)
    else:
        names = (metrics,)
    unknown = [name for name in names if not isinstance(name, str) or name not in METRICS]
    if unknown or not names:
        what = f"unknown metric {checks.shown(unknown[0])}" if unknown else "no metric was given"
        raise Unmeasurable(f"{what}: known are {', '.join(sorted(METRICS))}")
    return tuple(dict.fromkeys(names))


def check_classifier(extractor: Any, classifier: Any) -> None:
    """Check that the reference classifier fits the extractor.

    Raises:
      Unmeasurable: it takes other images or has other classes, or it is the extractor: accuracy would then depend on
        the same features as all other figures.
    """
    if classifier is None:
        return
    name, extractor_name = classifier.card["name"], extractor.card["name"]
    if references.digest_of(classifier) == references.digest_of(extractor):
        raise Unmeasurable(
            f"{name} is the extractor and the reference classifier: give another reference classifier, a classifier "
            "of another training"
        )
    mine, theirs = ((c.image_shape, c.num_classes) for c in (classifier, extractor))
    if mine != theirs:
        raise Unmeasurable(
            f"the reference classifier {name} takes images of {_said(*mine)}, and the extractor {extractor_name} of "
            f"{_said(*theirs)}: give a reference classifier of the same data"
        )


def _said(shape: tuple[int, ...], num_classes: int) -> str:
    return f"{'x'.join(map(str, shape))} in {num_classes} classes"


def check_given(
    images: Any, labels: Any, image_shape: tuple[int, ...], num_classes: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images float32 [N, H, W, C] in [0, 1] and labels int32 [N] or None; errors as `evaluate` says."""
    try:
        images = np.asarray(pixels.check_unit(images, image_shape))
    except ValueError as error:
        raise Unmeasurable(str(error)) from None
    if len(images) > 1 and (images == images[:1]).all():
        raise Unmeasurable(f"all {len(images):,} images are the same one: there is nothing to measure")
    if (images == images[:, :1, :1]).all():
        raise Unmeasurable("every image is constant, all of its pixels alike: there is nothing to measure")
    if labels is None:
        return images, None
    labels = np.asarray(checks.labels(labels, num_classes))
    checks.paired(images, labels, "images")
    return images, labels


def check_real(given: Any, extractor: Any, name: str) -> Real:
    """Real images and labels that fit an extractor; `name` is the argument, for errors as `evaluate` says."""
    real = references.real_images(given, extractor.image_shape, name)
    try:
        return real._replace(labels=np.asarray(checks.labels(real.labels, extractor.num_classes)))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def fitting(
    names: Sequence[str],
    asked: bool,
    labelled: bool,
    reference: Reference,
    *,
    spec: ImageSpec | None = None,
    classified: bool = True,
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Which metrics can be computed.

    Args:
      names: the metrics.
      asked: whether they were asked for by name, so that a missing requirement is an error.
      labelled: whether the generated images have labels.
      reference: what to compare with.
      spec: of the images; None if every metric takes them.
      classified: whether there is a reference classifier.

    Returns:
      Those that can be computed, and why the others cannot.

    Raises:
      Unmeasurable: one that was asked for cannot.
    """
    left_out = {}
    for name in names:
        reason = _lacks(name, labelled, reference, spec, classified)
        if reason:
            left_out[name] = reason
    if asked and left_out:
        raise Unmeasurable("; ".join(f"{name} {why}" for name, why in left_out.items()))
    return tuple(name for name in names if name not in left_out), left_out


def _lacks(name: str, labelled: bool, reference: Reference, spec: ImageSpec | None, classified: bool) -> str | None:
    """What a metric needs and does not have, or None."""
    metric, train = METRICS[name], reference.train
    refusal = None if spec is None else metric.refuses(spec)
    if refusal:
        return f"trains a classifier, and {refusal}"
    if metric.labels and not labelled:
        return "needs labels"
    if metric.classifier and not classified:
        return "needs classifier=, a reference classifier of the same data and of another training than the extractor"
    if metric.real and reference.images is None:
        return "needs real=, real test images and their labels"
    if metric.train and (train is None or (metric.train == "distances" and train.images is None)):
        return "needs train=, the generator's training images and their labels"
    if metric.train == "distances" and train.nearest_pixels is None:
        return "needs real= beside train=, real test images and their labels"
    return _too_few(
        metric.of_reference(reference.features.shape[1]),
        metric.in_each_class,
        reference.labels,
        len(reference.features),
        spec.num_classes if spec is not None else int(reference.labels.max()) + 1,
        "the reference has",
        " of the reference",
    )


def too_few(names: Sequence[str], labels: np.ndarray | None, n: int, num_classes: int, size: int) -> dict[str, str]:
    """The metrics that n generated images (labels int [n]) are too few for, with F = size features, and why."""
    said = {}
    for name in names:
        metric = METRICS[name]
        reason = _too_few(metric.at_least(size), metric.in_each_class, labels, n, num_classes)
        if reason:
            said[name] = reason
    return said


def check_enough(
    names: Sequence[str], asked: bool, labels: np.ndarray | None, n: int, num_classes: int, size: int
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Check that there are enough generated images for each metric.

    Returns:
      The metrics that there are enough images for, and why the others are left out: those by class, unless `asked`.

    Raises:
      Unmeasurable: there are too few images for another metric. It says how many are needed.
    """
    lacking = too_few(names, labels, n, num_classes, size)
    left_out = {name: why for name, why in lacking.items() if METRICS[name].in_each_class and not asked}
    said = [f"{name} {why}" for name, why in lacking.items() if name not in left_out]
    if said:
        raise Unmeasurable(f"{n:,} images are too few: {'; '.join(said)}. Give more, or choose others by metrics=")
    return tuple(name for name in names if name not in left_out), left_out


def _too_few(
    needed: int, in_each_class: bool, labels: Any, n: int, num_classes: int, has: str = "", of: str = ""
) -> str | None:
    if in_each_class and needed:
        counts = np.bincount(labels, minlength=num_classes)
        k = int(counts.argmin())
        if counts[k] < needed:
            return f"needs at least {needed:,} images{of} per class, and class {k} has {counts[k]:,}"
    elif n < needed:
        return f"needs at least {needed:,} images{of}" + (f", and {has} {n:,}" if has else "")
    return None
