"""From a name, a classifier and real images to a `Detector` with a threshold."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from cganjax import checks, pixels
from cganjax import scores as scores_of
from cganjax.decoys.detectors.entry import Detector, Entry
from cganjax.decoys.detectors.table import entry
from cganjax.types import BadArgument, BadType


def calibrate(
    name: str,
    classifier: Callable,
    real_images: Any,
    accept: float = 0.95,
    *,
    scores: str | None = None,
    labels: Any = None,
    **settings: Any,
) -> Detector:
    """Make a detector that accepts the fraction `accept` of real images.

    Args:
      name: a key of `detectors.DETECTORS`: "msp", "max_sigmoid", "max_logit", "energy", "odin", "mahalanobis", "knn".
      classifier: images [N, H, W, C] -> outputs [N, K]; if the detector works on features, with `.features`.
      real_images: float [N, H, W, C] in [0, 1], in-distribution and not trained on.
      accept: the fraction of them, in (0, 1), that scores at most the threshold.
      scores: what the outputs are, if the classifier has no `.scores`.
      labels: int [N] from 0 to K-1 of the real images, for "mahalanobis"; without them it uses the classifier's
        predictions.
      **settings: the detector's own, such as `temperature` or `k`.

    Returns:
      The detector. Its threshold is the smallest score that at least the fraction `accept` of the real images does not
      exceed. A detector that learns uses every second image to learn, and the others for the threshold.

    Raises:
      ValueError: the detector is unknown (the known ones are listed) or does not fit the outputs, images are NaN or
        out of [0, 1], labels have another length or are outside 0..K-1, accept or a setting is out of range, the
        outputs for the first 500 images cannot be what `scores` says, or a score is not finite.
      TypeError: the classifier cannot be called, or has no features and the detector works on them; labels that are
        not integers; a setting that is unknown.

    >>> import cganjax, numpy as np
    >>> real = cganjax.dataset("digits", split="test").images / np.float32(255)
    >>> detector = cganjax.calibrate("msp", cganjax.load_classifier("lenet5"), real, accept=0.9)
    >>> 0.89 < float(1 - detector.rejects(real).mean()) < 0.92
    True
    """
    accept = checks.real("accept", accept, 0, 1, above=True, below=True, advice=", such as 0.95")
    scores_of.check_classifier(classifier)
    kind = scores_of.kind_of(classifier, scores)
    row = entry(name, kind)
    real = pixels.check_unit(real_images)
    if len(real) < 2:
        raise BadArgument(f"{len(real)} real images were given: a threshold needs many, such as 5,000")
    settings = _checked(name, row, settings)
    if row.learns and not hasattr(classifier, "features"):
        raise BadType(f"detector {name} works on features, and this classifier has no .features(images): take msp")
    if row.gradient and scores_of.trace_error(classifier, real.shape[1:]) is not None:
        raise BadType(f"detector {name} needs the classifier's gradient, and JAX cannot trace it: take msp or energy")
    num_classes = _check_outputs(classifier, kind, real[: scores_of.CHUNK])
    if labels is not None:
        labels = np.asarray(checks.labels(labels, num_classes))
        checks.paired(real, labels, "real images")
    inputs = (real[::2], None if labels is None else labels[::2]) if row.learns else ()
    score = row.make(classifier, kind, *inputs, **settings)
    traceable = scores_of.trace_error(score, real.shape[1:]) is None
    score = functools.partial(scores_of.in_chunks, jax.jit(score) if traceable else score, compiled=traceable)
    values = score(real[1::2] if row.learns else real)
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values))
        raise BadArgument(
            f"{len(bad)} of {len(values)} {name} scores of real images are NaN or infinite: "
            "check the classifier's outputs"
        )
    threshold = float(np.quantile(values, accept, method="higher"))
    return Detector(name, score, threshold)


# What each setting of a detector may be: its name and the value given -> the value.
_SETTINGS: Mapping[str, Callable[[str, Any], Any]] = {
    "k": functools.partial(checks.whole, low=1),
    "magnitude": functools.partial(checks.real, low=0, high=1),  # a change of pixels in [0, 1]
    "temperature": functools.partial(checks.real, low=0, high=1e6, above=True),
    "unit": checks.flag,
}


def _checked(name: str, row: Entry, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as Python's numbers, or the error of one that is unknown or cannot work."""
    known = [p.name for p in inspect.signature(row.make).parameters.values() if p.kind == p.KEYWORD_ONLY]
    for setting in settings:
        if setting not in known:
            raise BadType(f"detector {name} has no setting {setting!r}: it has {', '.join(known) or 'none'}")
    return {setting: _SETTINGS[setting](setting, value) for setting, value in settings.items()}


def _check_outputs(classifier: Callable, kind: str, real: Any) -> int:
    """The number of classes; BadArgument if the outputs cannot be of their kind: a threshold would mean nothing."""
    outputs = np.asarray(scores_of.outputs(classifier, real))
    scores_of.check(outputs, len(real), kind)
    if kind == "logits" and scores_of.look_like_probabilities(outputs):
        raise BadArgument(
            "the classifier's outputs are never negative and sum to 1 for each image, and were said to be "
            'logits: give scores="probabilities"'
        )
    # A logit within [0, 1] is a confidence of 0.5 to 0.73: no classifier has that in every class of every image.
    if kind == "sigmoid" and outputs.min() >= 0 and outputs.max() <= 1:
        raise BadArgument(
            "the classifier's outputs all lie in [0, 1], and were said to be logits of one sigmoid per "
            "class: give them before the sigmoid, log(p / (1 - p))"
        )
    return outputs.shape[1]


def card_threshold(name: str, classifier: Any) -> float:
    """The threshold of a detector in the card of a shipped classifier.

    Raises:
      ValueError: the detector is unknown, does not fit the outputs, or has no threshold in the card; those that it has
        are listed.
    """
    entry(name, classifier.scores)
    known = classifier.card.get("thresholds", {})
    if name not in known:
        have = f"has thresholds for {', '.join(known)}" if known else "has no thresholds"
        raise BadArgument(
            f"the card of {classifier.card['name']} {have}, and detector {name} was asked for: calibrate "
            "it on real images (--data-dir)"
        )
    return known[name]["threshold"]


def from_card(name: str, classifier: Any) -> Detector:
    """The detector of a shipped classifier, with the threshold in its card; no data are needed.

    Raises:
      ValueError: as of `card_threshold`.
    """
    threshold = card_threshold(name, classifier)
    score = jax.jit(entry(name, classifier.scores).make(classifier, classifier.scores))
    return Detector(name, functools.partial(scores_of.in_chunks, score, compiled=True), threshold)
