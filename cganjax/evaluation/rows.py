"""Rows to compare figures with: real images, the same with shuffled labels, and one image per class repeated."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cganjax import scores
from cganjax.evaluation import arguments
from cganjax.evaluation import reference as references
from cganjax.evaluation.measuring import measure, parts
from cganjax.evaluation.metrics import accuracy, bootstrap, frechet, memorisation
from cganjax.evaluation.progress import Progress
from cganjax.evaluation.records import Real, Reference
from cganjax.evaluation.table import METRICS, SHORT
from cganjax.types import UserError

ROWS = ("real images", "shuffled labels", "one image a class")
_OF_TRAINING = ("frechet_train", "memorisation")  # the images of the rows are the training images


class Stored(NamedTuple):
    """A reference as it is written, with its rows."""

    exact: Reference  # with unrounded features
    rounded: Reference  # as it will be read


def with_rows(
    extractor: Any,
    classifier: Any,
    test: Real,
    train: Real,
    n: int,
    *,
    say: Callable[[str], None] | None = None,
) -> Stored:
    """Measure the reference of test images that is stored beside an extractor, with its rows.

    Args:
      extractor: the network whose features are compared.
      classifier: the reference classifier, or None.
      test: the images of the reference.
      train: the training images; the first n make the rows.
      n: the number of images in each row.
      say: is told, such as `print`, which metrics are left out and the figures of real images; meanwhile the progress
        is shown. None: nothing is shown.

    Raises:
      Unmeasurable: there are too few images for any statistics, or the features are no usable numbers.
      UserError: a class has no training image.
    """
    exact = references.with_train(extractor, references.of_real(extractor, test), train)
    exact = exact._replace(classifier=classifier and references.digest_of(classifier))
    rounded, size = references.rounded(exact, extractor), exact.features.shape[1]
    names, left_out = arguments.fitting(
        arguments.check_names(None),
        False,
        True,
        exact._replace(train=exact.train._replace(images=train.images)),
        spec=extractor.spec,
        classified=classifier is not None,
    )
    # The test images are compared with the training images: generated ones with both.
    asked = [name for name in names if name == "frechet_train"]
    left_out |= arguments.too_few(asked, test.labels, len(test.images), extractor.num_classes, size)
    names = [name for name in names if name not in left_out]
    measured = functools.partial(
        measure_rows, rounded, exact, train, test[:2], extractor, classifier, n, seed=0, names=names
    )
    if say is None:
        return Stored(exact._replace(rows=measured()), rounded)
    for name, why in left_out.items():
        say(f"{name} is left out of the rows: it {why}")
    with contextlib.closing(Progress(row_parts(names, classifier))) as progress:
        found = measured(on_part=progress.part)
    best = found[ROWS[0]]
    say(", ".join(f"{figure} {best[figure]:.4f}" for figure in SHORT if figure in best))
    return Stored(exact._replace(rows=found), rounded)


def measure_rows(
    reference: Reference,
    exact: Reference,
    real: Real,
    unseen: tuple[np.ndarray, np.ndarray],
    extractor: Any,
    classifier: Any,
    n: int,
    seed: int,
    *,
    names: Sequence[str] | None = None,
    on_part: Callable[[str], None] = lambda name: None,
) -> dict[str, dict[str, Any]]:
    """The figures of each row. A metric is left out of a row that has too few images for it.

    Args:
      reference: what to compare with.
      exact: the same with unrounded features, or `reference` itself.
      real: other real images than those of the reference; the first n are used.
      unseen: real images and labels that the reference classifier was not trained on: their accuracy is reported as
        that of real images.
      extractor: the network whose features are compared.
      classifier: the reference classifier, or None: there are then no accuracies.
      n: the number of images in each row.
      seed: of the shuffled labels, subsets and bootstrap draws.
      names: metrics; None means all that train no classifier.
      on_part: called with the name of each part as it begins; `row_parts` lists them.

    Raises:
      UserError: a class has no image.
    """
    names, classes = _names(names, classifier), extractor.num_classes
    images, labels = real.images[:n], real.labels[:n]
    missing = sorted(set(range(classes)) - set(np.unique(real.labels).tolist()))
    if missing:
        of = real.about.get("name", "the data set")
        raise UserError(f"{of} has no training image of class {missing[0]}: expected at least one of each class")
    shuffled = np.random.default_rng(seed).permutation(labels)
    first = np.stack([real.images[np.argmax(real.labels == k)] for k in range(classes)])
    balanced = np.arange(len(images)) % classes
    cases = zip(ROWS, (images, images, first[balanced]), (labels, shuffled, balanced), strict=True)
    found = {}
    for name, x, y in cases:
        metrics = _of_row(name, names)
        lacking = arguments.too_few(metrics, y, len(x), classes, reference.features.shape[1])
        metrics = [metric for metric in metrics if metric not in lacking]
        if name != ROWS[0] and not metrics:
            continue
        measured = measure(
            x,
            y,
            reference,
            extractor,
            classifier,
            metrics,
            seed=seed,
            on_part=lambda part, name=name: on_part(f"{name}: {part}"),
        )
        found[name] = measured.figures | {"samples": len(x), "intervals": measured.intervals}
    _add_unseen(found[ROWS[0]], names, reference, exact, unseen, classifier, classes)
    return found


def _add_unseen(
    best: dict[str, Any],
    names: Sequence[str],
    reference: Reference,
    exact: Reference,
    unseen: tuple[np.ndarray, np.ndarray],
    classifier: Any,
    classes: int,
) -> None:
    """Add to the row of real images what is measured of images not trained on; arguments as of `measure_rows`."""
    if "accuracy" in names:
        images, labels = unseen
        answers = scores.confidences_of(classifier, images).argmax(axis=1)
        best.update(accuracy.accuracy(labels, answers, classes))
        best["intervals"]["accuracy"] = bootstrap.of_mean(answers == labels)
    if "memorisation" in names:
        # Of unseen real images 1 % are nearer than their own 1st percentile.
        for kind in ("pixels", "features"):
            apart = getattr(reference.train, f"nearest_{kind}")
            best.update({f"{k}_{kind}": v for k, v in memorisation.memorisation(apart, apart).items()})
    size = exact.features.shape[1]
    enough = not arguments.too_few(["frechet_train"], exact.labels, len(exact.features), classes, size)
    if "frechet_train" in names and reference.train is not None and enough:
        statistics = frechet.statistics(exact.features)
        best["frechet_train"] = frechet.distance(statistics, reference.train.statistics)


def row_parts(names: Sequence[str] | None, classifier: Any) -> list[str]:
    """The parts of `measure_rows`, in their order."""
    names = _names(names, classifier)
    return [
        f"{row}: {part}"
        for row in ROWS
        if row == ROWS[0] or _of_row(row, names)
        for part in parts(_of_row(row, names), classifier)
    ]


def _names(names: Sequence[str] | None, classifier: Any) -> list[str]:
    names = arguments.check_names(None) if names is None else names
    return [name for name in names if classifier is not None or not METRICS[name].classifier]


def _of_row(row: str, names: Sequence[str]) -> list[str]:
    """The metrics of a row: those of training images say nothing here, and those that train are for real images."""
    return [name for name in names if name not in _OF_TRAINING and (row == ROWS[0] or not METRICS[name].trains)]


def rows_for(reference: Reference, classifier: Any) -> dict[str, Any]:
    """The rows of a reference, without accuracies if they are of another reference classifier."""
    same = classifier is not None and references.digest_of(classifier) == reference.classifier
    dropped = () if same else ("accuracy", "accuracy_by_class", "confusion")
    return {name: {k: v for k, v in row.items() if k not in dropped} for name, row in reference.rows.items()}
