"""`evaluate`: the figures of generated images, what they were measured with, intervals, and rows to compare with."""

import os
from collections.abc import Sequence
from typing import Any

from cganjax import checks, sampling
from cganjax.data import Dataset
from cganjax.evaluation import arguments, defaults, places
from cganjax.evaluation import reference as references
from cganjax.evaluation.measuring import measure
from cganjax.evaluation.rows import rows_for
from cganjax.evaluation.table import METRICS
from cganjax.types import BadArgument


def evaluate(
    images: Any,
    labels: Any = None,
    *,
    metrics: Sequence[str] | None = None,
    real: Any = None,
    train: Any = None,
    seed: int = 0,
    extractor: str | os.PathLike | None = None,
    classifier: str | os.PathLike | None = None,
    judge: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Measure how good generated images are.

    Without `real` and `train` the images are compared with the test images whose features are stored beside the
    extractor, and no data are needed. Figures of different extractors, references or numbers of images cannot be
    compared; 10,000 images with balanced labels are usual. The order of the images does not matter.

    Args:
      images: float [N, H, W, C] in [0, 1], of the shape that the extractor takes.
      labels: int [N], the class asked for of each image. None for images without labels: fewer metrics are computed.
      metrics: some of `evaluation.METRICS`: "accuracy", "diversity", "frechet", "frechet_by_class", "frechet_train",
        "kid", "kid_by_class", "memorisation", "prdc", and "cas" and "two_sample", which train a classifier. Default:
        all except these two, as far as labels and data allow.
      real: real images to compare with, a pair (images, labels) or a `cganjax.data.Dataset`.
      train: the generator's training images, in the same form: for "memorisation" and "frechet_train".
      seed: of subsets, bootstrap draws and trainings; 0 or more.
      extractor: a classifier with features: a shipped name, a run, a checkpoint folder, or the folder that `cganjax
        reference my_images/` made. Default: if `real` or `train` is a `Dataset`, the one that is shipped for it or kept
        beside it; else the shipped one for images of the same shape, "digits-v1" for 28x28x1, which suits digits alone.
      classifier: the reference classifier, in the same form, of another training than the extractor. "accuracy" is the
        fraction of images that it classifies as asked. Default: the one that was made with the extractor, or is shipped
        for its data; if there is none, "accuracy" is left out.
      judge: the former name of `classifier`; removed in the next version.

    Returns:
      Plain numbers by name and lists with one number per class (`frechet_by_class`), and

      - `samples`, `seed`, `metrics`;
      - `extractor` and `classifier`: name and SHA-256 of the weights (`judge` is the former name of `classifier`);
      - `reference` and `train`: which images these are;
      - `intervals`: 95 %, by the name of the figure, over the generated images; those of recall and coverage are over
        the reference, of KID over both, of CAS over the real test images, of the two-sample test over its test halves;
      - `left_out`: metric -> why it was not computed;
      - `seconds`: by part;
      - `rows`: the figures of real images, of shuffled labels and of one image per class, if the reference has them.

    Raises:
      ValueError: images of another shape or range, or of a shape that no shipped extractor takes; NaN, images that are
        all the same, or too few for a metric (it says how many are needed); labels of another length or out of range;
        an extractor that is also the reference classifier; an unknown metric (the known ones are named); missing data.
      TypeError: labels that are not integers.
      FileNotFoundError, CheckpointError: see `cganjax.load`.

    >>> figures = cganjax.evaluate(images, labels)  # doctest: +SKIP
    >>> figures["frechet"], figures["intervals"]["frechet"]  # doctest: +SKIP
    """
    names = arguments.check_names(metrics)
    seed = checks.seed("seed", seed)
    folder = places.extractor_in(extractor if extractor is not None else _shipped_for(images, real, train))
    extractor = sampling.load_classifier(folder)
    images, labels = arguments.check_given(images, labels, extractor.image_shape, extractor.num_classes)
    reference = _reference(folder, extractor, real)
    if train is not None:
        distances = metrics is None or "memorisation" in names
        train = arguments.check_real(train, extractor, "train")
        reference = references.with_train(extractor, reference, train, distances)
    classifier = _classifier(names, folder, extractor, classifier, judge)
    names, left_out = arguments.fitting(
        names,
        metrics is not None,
        labels is not None,
        reference,
        spec=extractor.spec,
        classified=classifier is not None,
    )
    names, too_few = arguments.check_enough(
        names, metrics is not None, labels, len(images), extractor.num_classes, reference.features.shape[1]
    )
    if not any(METRICS[name].classifier for name in names):
        classifier = None
    arguments.check_classifier(extractor, classifier)
    found = measure(images, labels, reference, extractor, classifier, names, seed=seed)
    by = classifier and defaults.named(classifier)
    return found.figures | {
        "samples": len(images),
        "seed": seed,
        "metrics": list(names),
        "left_out": left_out | too_few,
        "extractor": defaults.named(extractor),
        "classifier": by,
        "judge": by,
        "reference": dict(reference.about),
        "train": reference.train and dict(reference.train.about),
        "intervals": found.intervals,
        "seconds": found.seconds,
        "rows": rows_for(reference, classifier),
    }


def _shipped_for(images, real, train) -> str:
    """The shipped extractor for the data set that was given, or else for images of this shape."""
    for dataset in (real, train):
        if isinstance(dataset, Dataset):
            return _shipped_for_data(places.record_of(dataset))
    shape = checks.array("images", images, "floats [N, H, W, C] in [0, 1]").shape
    if len(shape) != 4:
        raise BadArgument(f"images have shape {shape}: expected [N, H, W, C]")
    found = defaults.extractor_of_shape(shape[1:])
    if found is None:
        size = "x".join(map(str, shape[1:]))
        raise BadArgument(
            f"images have shape {shape}, and no shipped extractor takes images of {size}: {defaults.advice()}, and "
            "give extractor='DATA.reference'"
        )
    return found


def _shipped_for_data(record) -> str | os.PathLike:
    """The extractor that is shipped for a data set, or that is kept beside it."""
    found = defaults.extractor_for(record) or places.find(record)
    if found is None:
        raise BadArgument(
            f"there is no extractor for {record['name']}: {defaults.advice(record)}, or give one by extractor="
        )
    return found


def _reference(folder, extractor, real) -> references.Reference:
    """The reference that was given, or the one that is stored beside the extractor."""
    if real is not None:
        return references.of_real(extractor, arguments.check_real(real, extractor, "real"))
    reference = references.read(folder, extractor)
    if reference is None:
        raise BadArgument(
            f"{extractor.card['name']} has no stored reference: give real=(images, labels), real test images to "
            "compare with, or make one by cganjax reference"
        )
    return reference


def _classifier(names, folder, extractor, classifier, judge):
    """The reference classifier that was named, else the one of the extractor's data, if any and if it is needed."""
    if classifier is not None and judge is not None:
        raise BadArgument("classifier= and judge= were given together: give classifier=, judge= is its former name")
    chosen = classifier if classifier is not None else judge
    if not any(METRICS[name].classifier for name in names):
        return None
    if chosen is None:
        chosen = places.classifier_beside(folder) or defaults.classifier_for(extractor.card["data"])
    return None if chosen is None else sampling.load_classifier(chosen)
