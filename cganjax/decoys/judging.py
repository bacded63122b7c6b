"""Who judges an attack: classifiers and detectors, shown images before and after it, whatever the attack said."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cganjax import scores as scores_of
from cganjax.decoys.detectors import Detector


class Seen(NamedTuple):
    """What classifiers and detectors say of N images."""

    numbers: list[np.ndarray]  # M of [N, K]
    confidence: np.ndarray  # float32 [N, M], the highest
    answers: np.ndarray  # int [N, M]
    rejected: np.ndarray  # bool [N, D]


class Judge(NamedTuple):
    """M classifiers and D detectors."""

    classifiers: tuple[Callable, ...]
    kinds: tuple[str, ...]
    several: bool  # a list of classifiers was given
    detectors: tuple[Detector, ...]
    detector_list: bool  # a list of detectors was given

    def look(self, images: np.ndarray) -> Seen:
        """Show images to all; ValueError where a classifier's numbers cannot be what they were said to be."""
        numbers = []
        for m, classifier in enumerate(self.classifiers):
            which = f"classifier {m}" if self.several else "the classifier"
            found = np.asarray(scores_of.in_chunks(functools.partial(scores_of.numbers, classifier), images))
            scores_of.check(found, len(images), self.kinds[m], which)
            numbers.append(found)
        confidence = [
            np.asarray(scores_of.confidences(n, k).max(axis=1)) for n, k in zip(numbers, self.kinds, strict=True)
        ]
        rejected = [np.asarray(detector.rejects(images)) for detector in self.detectors]
        return Seen(
            numbers,
            np.stack(confidence, axis=1),
            np.stack([n.argmax(axis=1) for n in numbers], axis=1),
            np.stack(rejected, axis=1) if rejected else np.zeros((len(images), 0), bool),
        )

    def shaped(self, values: np.ndarray) -> np.ndarray:
        """[N, M], or [N] of one classifier."""
        return values if self.several else values[:, 0]

    def verdict(self, rejected: np.ndarray) -> np.ndarray | None:
        """[N, D], or [N] of one detector; None of none."""
        return (rejected if self.detector_list else rejected[:, 0]) if self.detectors else None


def judge(
    classifier: Callable | Sequence[Callable],
    scores: str | Sequence[str] | None,
    detector: Detector | Sequence[Detector] | None,
) -> Judge:
    """The judge of what `decoy` was given, see there; TypeError or ValueError where it cannot be used."""
    several = isinstance(classifier, (list, tuple)) and not callable(classifier)  # a record may be callable
    classifiers = tuple(classifier) if several else (classifier,)
    if not classifiers or not all(callable(c) for c in classifiers):
        raise TypeError(f"classifier is {classifier!r}: expected a callable of images, or a list of them")
    said = tuple(scores) if isinstance(scores, (list, tuple)) else (scores,) * len(classifiers)
    if len(said) != len(classifiers):
        raise ValueError(f"{len(classifiers)} classifiers and {len(said)} scores were given: expected as many of each")
    kinds = tuple(scores_of.kind_of(c, s) for c, s in zip(classifiers, said, strict=True))
    listed = isinstance(detector, (list, tuple)) and not isinstance(detector, Detector)
    detectors = tuple(detector) if listed else () if detector is None else (detector,)
    for one in detectors:
        if not all(hasattr(one, name) for name in ("score", "threshold", "rejects")):
            raise TypeError(
                f"detector is {one!r}, which is not calibrated: make one by "
                "cganjax.calibrate(name, classifier, real_images)"
            )
    return Judge(classifiers, kinds, several, detectors, listed)
