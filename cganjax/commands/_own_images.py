"""What `cganjax train` says of images without a recipe: what was chosen, how good samples are, what to do next."""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cganjax.data import Dataset
from cganjax.types import CheckpointError, UserError

METRICS = ("accuracy", "frechet", "prdc", "diversity")
FEWEST_TEST = 20  # test images whose distances to training images say something
_NAMED, _SAMPLED = 12, 5  # classes that are named in a line, and in the command for samples
_FIGURES = {
    "accuracy": "classified as the class asked for (real: the test images)",
    "frechet": "distance of the features from those of the test images; lower is better",
    "precision": "fraction of the samples that look like test images",
    "recall": "fraction of the test images that look like samples",
    "coverage": "fraction of the test images that have a sample near them",
    "pixel_std": "standard deviation of a pixel within a class; speckled or too similar samples differ from real ones",
}


# --- before the training ----------------------------------------------------------------------------------------------


def chosen(config: Any, dataset: Dataset) -> Iterator[str]:
    """The lines that say in words which settings recipe `auto` chose for a data set."""
    import jax

    from cganjax import models

    spec, n = dataset.spec, len(dataset.images)
    counts = np.bincount(dataset.labels, minlength=spec.num_classes)
    each = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    yield (
        f"images: {n:,} to train on (split {dataset.split}), {spec.height}x{spec.width} "
        f"{'grey' if spec.channels == 1 else 'RGB'}, {each} of each of {spec.num_classes} classes "
        f"({_listed(spec.class_names)})"
    )
    networks = models.build(config, spec)
    g, d = (_parameters(jax.eval_shape(one.init, jax.random.key(0))) for one in networks[:2])
    yield f"networks: {config.family}, {g} parameters in the generator, {d} in the discriminator"
    augmented = f"with augmentation {config.augment:g}" if config.augment else "without augmentation"
    yield (
        f"training: {config.steps:,} steps of {config.batch_size} images, each image about "
        f"{config.steps * config.batch_size / n:,.0f} times, {augmented}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)


def _parameters(weights: Any) -> str:
    import jax

    return f"{sum(leaf.size for leaf in jax.tree.leaves(weights)) / 1e6:.2f} million"


# --- after it ---------------------------------------------------------------------------------------------------------


def evaluation(generator: Any, train: Dataset, test: Dataset, data_dir: Path | None) -> Iterator[str]:
    """The lines of a short evaluation of samples beside real images.

    The samples are measured by the extractor that is shipped for these data or kept beside them. If there is neither,
    one is made beside the data first.

    Args:
      generator: as `cganjax.load` returns it.
      train: its training images.
      test: test images of the same data.
      data_dir: where data sets are looked for by name.

    Raises:
      UserError: no extractor can be made for these images, or none can be written there; or the one beside them was
        made with other test images.
      CheckpointError: the one beside them is damaged.
    """
    from cganjax import rng, sampling
    from cganjax.evaluation import ROWS, arguments, beside, defaults, measure, networks, places, rows_for
    from cganjax.evaluation import reference as references

    record = generator.card["data"]
    if defaults.extractor_for(record) is None and beside.find(record, data_dir) is None:
        yield "evaluation: first two classifiers are trained on these images, which then measure the samples"
        beside.make(train, test, data_dir=data_dir)
    chosen = networks.choose({generator.card["name"]: generator}, data_dir=data_dir)
    extractor, classifier = chosen.extractor, chosen.classifier
    reference = references.read(chosen.folder, extractor)
    about = reference.about  # of a shipped reference: other test images than `test`, if these show the same things
    if chosen.beside_data and about["fingerprint"] != test.fingerprint:
        raise UserError(
            f"{chosen.folder.parent} was made with other test images: make it again by {places.command(record)} "
            "--overwrite"
        )
    real, shape, classes = rows_for(reference, classifier)[ROWS[0]], train.spec.shape, train.num_classes

    n = real["samples"]  # as many as there are real images in the other column: else the two could not be compared
    labels = None if generator.num_classes is None else np.arange(n) % classes
    images = np.asarray(sampling.sample_from(generator, rng.root(0), labels, n=n if labels is None else None))
    labelled, classified = labels is not None, classifier is not None
    names, left_out = arguments.fitting(METRICS, False, labelled, reference, spec=extractor.spec, classified=classified)
    left_out |= arguments.too_few(names, labels, n, classes, reference.features.shape[1])
    names = [name for name in names if name not in left_out]
    measured = measure(images, labels, reference, extractor, classifier, names)

    yield (
        f"evaluation: {n:,} samples, and {n:,} training images as real ones, against {about['images']:,} test images "
        f"of {about['name']}, by {extractor.card['name']}, {chosen.why}"
    )
    yield from table(measured.figures, real)
    for name, why in left_out.items():
        yield f"{name} is left out: it {why}"
    train_images, test_images = (references.real_images(one, shape, one.split).images for one in (train, test))
    yield memorisation(images, train_images, test_images)


def table(samples: Mapping[str, Any], real: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a table of figures, those of samples beside those of real images.

    >>> for line in table({"frechet": 1.25}, {"frechet": 0.25}):
    ...     print(line)
                 samples      real
    frechet        1.250     0.250  distance of the features from those of the test images; lower is better
    """
    yield f"{'':10}{'samples':>10}{'real':>10}"
    for name, meaning in _FIGURES.items():
        if name in samples:
            cells = (f"{figures[name]:.3f}" if name in figures else "-" for figures in (samples, real))
            yield f"{name:10}{''.join(f'{cell:>10}' for cell in cells)}  {meaning}"


def memorisation(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> str:
    """The sentence that says whether samples lie nearer to training images than test images do.

    Args:
      samples: float [N, H, W, C] in [0, 1].
      train: training images [T, H, W, C].
      test: test images [M, H, W, C].

    References:
      Meehan et al., "A non-parametric test to detect data-copying in generative models" (arXiv 2004.05675), section 3.
    """
    from cganjax.evaluation.metrics import neighbours

    if len(test) < FEWEST_TEST:
        return (
            f"memorisation is left out: it needs at least {FEWEST_TEST} test images to compare with, and there are "
            f"{len(test)}"
        )
    nearer = fraction_below(neighbours.nearest(samples, train)[1], neighbours.nearest(test, train)[1])
    if nearer >= 0.9:
        verdict = "most samples are copies of training images, or nearly so: more images are needed"
    elif nearer >= 0.65:
        verdict = "samples are nearer to training images than new images would be: it has memorised in part"
    else:
        verdict = "there is no sign that it copies training images"
    return (
        f"memorisation: a sample lies nearer to a training image than a test image does in {nearer:.0%} of all pairs "
        f"(new images: 50%, copies: 100%); {verdict}"
    )


def fraction_below(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The fraction of pairs in which the value of `mine` is the smaller one; equal values count half.

    >>> fraction_below(np.array([1.0, 3.0]), np.array([2.0, 3.0]))
    0.625
    """
    ordered = np.sort(theirs)
    above = len(ordered) - np.searchsorted(ordered, mine, side="right")
    equal = np.searchsorted(ordered, mine, side="right") - np.searchsorted(ordered, mine, side="left")
    return float((above + 0.5 * equal).mean() / len(ordered))


def commands(run: Any, again: Sequence[str], data_dir: Path | None) -> Iterator[str]:
    """The lines with the commands for more.

    Args:
      run: a `TrainedRun` with a generator and a folder.
      again: the words of the command that trained it.
      data_dir: where data sets are looked for by name, as the user said.
    """
    from cganjax.evaluation import beside, places

    folder, names = shlex.quote(str(run.folder)), run.spec.class_names
    where = f" --data-dir {shlex.quote(str(data_dir))}" if data_dir else ""
    some = shlex.quote(", ".join(names[:_SAMPLED]))
    classifier = None
    with contextlib.suppress(CheckpointError):  # of a damaged one, which the evaluation has named
        extractor = beside.find(run.generator.card["data"], data_dir)
        classifier = extractor and places.classifier_beside(extractor)
    longer = _longer(again, 2 * run.config.steps)
    yield "for more:"
    yield f"  cganjax sample --checkpoint {folder} {some}"
    yield f"  cganjax evaluate {folder}{where}"
    if classifier:
        target = shlex.quote(os.path.relpath(classifier))
        yield f"  cganjax decoy {some} --target {target} --checkpoint {folder}"
    yield f"  {shlex.join(longer)}"


def _longer(command: Sequence[str], steps: int) -> list[str]:
    """The command that trained a run, as it makes the run longer.

    >>> _longer(["cganjax", "train", "mine/", "--extend-to", "8", "--seed", "1", "--overwrite"], 16)
    ['cganjax', 'train', 'mine/', '--seed', '1', '--extend-to', '16']
    """
    text = "\0".join(word for word in command if word != "--overwrite")
    return [*re.sub("\0--(extend-to|stop-after)[\0=][^\0]*", "", text).split("\0"), "--extend-to", str(steps)]
