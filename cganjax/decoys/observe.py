"""What classifiers and detectors say of images, before and after an attack, whatever the attack itself reported."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cganjax import scores as scores_of
from cganjax.checks import shown
from cganjax.decoys.detectors import Detector
from cganjax.types import BadArgument, BadType


class Observation(NamedTuple):
    """What M classifiers and D detectors say of N images."""

    outputs: list[np.ndarray]  # M arrays [N, K]
    confidence: np.ndarray  # float32 [N, M], the highest
    predictions: np.ndarray  # int [N, M], the class that has it
    rejected: np.ndarray  # bool [N, D]


class Targets(NamedTuple):
    """M classifiers and D detectors."""

    classifiers: tuple[Callable, ...]
    kinds: tuple[str, ...]  # of the outputs of each classifier
    several: bool  # a list of classifiers was given
    detectors: tuple[Detector, ...]
    detector_list: bool  # a list of detectors was given

    def observe(self, images: np.ndarray) -> Observation:
        """Show images to all; ValueError if a classifier's outputs cannot be what they were said to be."""
        outputs = []
        for m, classifier in enumerate(self.classifiers):
            which = f"classifier {m}" if self.several else "the classifier"
            found = np.asarray(scores_of.in_chunks(functools.partial(scores_of.outputs, classifier), images))
            scores_of.check(found, len(images), self.kinds[m], which)
            outputs.append(found)
        confidence = [
            np.asarray(scores_of.confidences(n, k).max(axis=1)) for n, k in zip(outputs, self.kinds, strict=True)
        ]
        rejected = [np.asarray(detector.rejects(images)) for detector in self.detectors]
        return Observation(
            outputs,
            np.stack(confidence, axis=1),
            np.stack([n.argmax(axis=1) for n in outputs], axis=1),
            np.stack(rejected, axis=1) if rejected else np.zeros((len(images), 0), bool),
        )

    def shaped(self, values: np.ndarray) -> np.ndarray:
        """Values [N, M], as [N] if one classifier was given."""
        return values if self.several else values[:, 0]

    def verdict(self, rejected: np.ndarray) -> np.ndarray | None:
        """Values [N, D], as [N] if one detector was given; None if none was."""
        return (rejected if self.detector_list else rejected[:, 0]) if self.detectors else None


def targets(
    classifier: Callable | Sequence[Callable],
    scores: str | Sequence[str] | None = None,
    detector: Detector | Sequence[Detector] | None = None,
    *,
    name: str = "classifier",
) -> Targets:
    """The classifiers and detectors that `decoy` was given; TypeError or ValueError if they cannot be used.

    Args:
      name: of the argument that the classifiers came from, for messages.
    """
    several = isinstance(classifier, (list, tuple)) and not callable(classifier)  # a record may be callable
    classifiers = tuple(classifier) if several else (classifier,)
    if not classifiers:
        raise BadType(f"{name} is {shown(classifier)}: expected a callable of images, or a list of them")
    for m, one in enumerate(classifiers):
        scores_of.check_classifier(one, f"{name}[{m}]" if several else name)
    said = tuple(scores) if isinstance(scores, (list, tuple)) else (scores,) * len(classifiers)
    if len(said) != len(classifiers):
        raise BadArgument(f"{len(classifiers)} classifiers and {len(said)} scores were given: expected as many of each")
    kinds = tuple(scores_of.kind_of(c, s) for c, s in zip(classifiers, said, strict=True))
    listed = isinstance(detector, (list, tuple)) and not isinstance(detector, Detector)
    detectors = tuple(detector) if listed else () if detector is None else (detector,)
    for one in detectors:
        if not all(hasattr(one, attribute) for attribute in ("score", "threshold", "rejects")):
            raise BadType(
                f"detector is {shown(one)}, which is not calibrated: make one by "
                "cganjax.calibrate(name, classifier, real_images)"
            )
    return Targets(classifiers, kinds, several, detectors, listed)
