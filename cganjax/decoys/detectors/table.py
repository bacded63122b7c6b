"""The table of detectors. To add one, write its function in a new file of this folder and add an entry here."""

from collections.abc import Callable, Mapping

from cganjax import checks
from cganjax import scores as scores_of
from cganjax.decoys.detectors import features, outputs
from cganjax.decoys.detectors.entry import Entry
from cganjax.types import BadArgument

DETECTORS: Mapping[str, Entry] = {
    "energy": Entry(outputs.energy, ("logits", "sigmoid")),
    "knn": Entry(features.knn, scores_of.KINDS, learns=True, least=features.images_for_neighbours),
    "mahalanobis": Entry(features.mahalanobis, scores_of.KINDS, learns=True, least=features.images_for_a_covariance),
    "max_logit": Entry(outputs.max_logit, ("logits", "sigmoid")),
    "max_sigmoid": Entry(outputs.msp, ("sigmoid",)),  # 1 - the highest sigmoid
    "msp": Entry(outputs.msp, ("logits", "probabilities")),
    "odin": Entry(outputs.odin, ("logits",), gradient=True),
}
# The detector that scores the confidence itself, for each kind of outputs.
CONFIDENCE = {"logits": "msp", "sigmoid": "max_sigmoid", "probabilities": "msp"}


def entry(name: str, kind: str) -> Entry:
    """The table entry of a detector, for outputs of a kind.

    Raises:
      ValueError: the detector is unknown, or does not work on such outputs; those that would do are listed.
    """
    checks.one_of("detector", name, DETECTORS)
    kinds = DETECTORS[name].scores
    if kind not in kinds:
        fitting = ", ".join(n for n, d in DETECTORS.items() if kind in d.scores)
        raise BadArgument(
            f"detector {name} takes {' or '.join(kinds)}, and the classifier gives {kind}: take {fitting}"
        )
    return DETECTORS[name]


def images_needed(name: str, classifier: Callable, shape: tuple[int, ...]) -> int:
    """The smallest number of real images [H, W, C] that a detector can be calibrated on, with its default settings."""
    least = DETECTORS[name].least
    return 2 if least is None else least(classifier, shape)


def fitting(classifier: Callable, scores: str | None = None, *, shape: tuple[int, ...] | None = None) -> list[str]:
    """The detectors that `calibrate` can make for a classifier; the first one scores the confidence itself.

    Args:
      classifier: images [N, H, W, C] -> outputs [N, K]; detectors of features need its `.features`.
      scores: what the outputs are, if the classifier has no `.scores`.
      shape: [H, W, C] of its images, if it has no `.image_shape`. Without a shape, or if JAX cannot trace the
        classifier, detectors that need a gradient are left out.
    """
    kind = scores_of.kind_of(classifier, scores)
    shape = shape or getattr(classifier, "image_shape", None)
    traced = shape is not None and scores_of.trace_error(classifier, shape) is None
    first = CONFIDENCE[kind]
    return [first] + [
        name
        for name, row in DETECTORS.items()
        if name != first
        and kind in row.scores
        and (hasattr(classifier, "features") or not row.learns)
        and (traced or not row.gradient)
    ]
