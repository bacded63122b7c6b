"""`measure`: the figures of checked images, once the reference and the networks are loaded."""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cganjax import scores
from cganjax.evaluation import reference as references
from cganjax.evaluation.records import Given, Measured, Reference
from cganjax.evaluation.table import METRICS


def measure(
    images: np.ndarray,
    labels: np.ndarray | None,
    reference: Reference,
    extractor: Any,
    classifier: Any,
    names: Sequence[str],
    *,
    seed: int = 0,
    on_part: Callable[[str], None] = lambda name: None,
) -> Measured:
    """`evaluate` for checked images.

    Args:
      images: float32 [N, H, W, C] in [0, 1].
      labels: int [N], or None.
      reference: what to compare with.
      extractor: the network whose features are compared.
      classifier: the reference classifier, or None.
      names: metrics that `arguments.fitting` lets pass.
      seed: of subsets, bootstrap draws and trainings.
      on_part: called with the name of each part as it begins; `parts` lists them.
    """
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
    asked = "classifier" in parts(names, classifier)
    confidence = part("classifier", lambda: scores.confidences_of(classifier, images)) if asked else None
    given = Given(images, labels, extractor.num_classes, features, confidence)
    for name in names:
        found = part(name, lambda: METRICS[name].compute(given, reference, seed))
        figures, intervals, seen = figures | found.figures, intervals | found.intervals, seen | found.seen
    return Measured(figures, intervals, seconds, given, seen)


def parts(names: Sequence[str], classifier: Any) -> list[str]:
    """The parts of `measure`, in their order."""
    asked = classifier is not None and any(METRICS[name].classifier for name in names)
    return ["features", *["classifier"] * asked, *names]


def canonical_order(images: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """An order [N] that depends on the images and labels alone, so that no figure depends on the order given."""
    labels = np.zeros(len(images), np.int64) if labels is None else labels
    digests = [hashlib.md5(x.tobytes() + _bytes(int(y))).digest() for x, y in zip(images, labels, strict=True)]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def _bytes(label: int) -> bytes:
    """One byte for a label below 256, as always, and more above."""
    return label.to_bytes(max(1, (label.bit_length() + 7) // 8), "little")
