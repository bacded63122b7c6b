"""The page of one evaluated checkpoint: which images and which figures by class it shows. `report` draws it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cganjax.evaluation.records import Measured, Reference
from cganjax.evaluation.rows import ROWS
from cganjax.spec import ImageSpec

MOST = 20  # images in a strip; of more classes the first are shown
_BARS = {
    "accuracy": "accuracy_by_class",
    "Frechet distance": "frechet_by_class",
    "pixel std": "pixel_std_by_class",
}

Strip = tuple[str, np.ndarray, list[str]]  # its name, images [C, H, W, C], and a caption of each


def strips(measured: Measured, reference: Reference, spec: ImageSpec) -> list[Strip]:
    """The samples nearest to training images, and those that the reference classifier is surest and least sure of."""
    return _nearest(measured, reference) + _sure(measured, spec)


def bars(name: str, measured: Measured, rows: Mapping[str, Any]) -> dict[str, dict[str, list[float | None]]]:
    """Figures by class of the checkpoint and of real images: panel -> whose -> one number per class."""
    whose = ((name, measured.figures), (ROWS[0], rows.get(ROWS[0], {})))
    panels = {
        title: {who: figures[figure] for who, figures in whose if figure in figures} for title, figure in _BARS.items()
    }
    return {title: lines for title, lines in panels.items() if lines}


def _of_each_class(measured: Measured) -> list[np.ndarray]:
    """The positions of the samples of each class that is shown, leaving out classes without samples."""
    labels = measured.given.labels
    found = (np.flatnonzero(labels == k) for k in range(measured.given.num_classes))
    return [positions for positions in found if len(positions)][:MOST]


def _nearest(measured: Measured, reference: Reference) -> list[Strip]:
    given, seen = measured.given, measured.seen
    if "nearest_pixels" not in seen:
        return []
    distance = seen["nearest_pixels"][1]
    if given.labels is None:
        chosen = np.argsort(distance)[: min(given.num_classes, MOST)]
    else:
        chosen = np.array([of_class[np.argmin(distance[of_class])] for of_class in _of_each_class(measured)])
    found = [("samples nearest to\ntraining images", given.images[chosen], [""] * len(chosen))]
    for kind in ("pixels", "features"):
        index, apart = (x[chosen] for x in seen[f"nearest_{kind}"])
        captions = [f"{d:.2f}" for d in apart]
        found.append((f"nearest training\nimage, in {kind}", reference.train.images[index], captions))
    return found


def _sure(measured: Measured, spec: ImageSpec) -> list[Strip]:
    given, seen, names = measured.given, measured.seen, spec.class_names
    if "confidence" not in seen:
        return []
    sure = seen["confidence"][np.arange(len(given.labels)), given.labels]
    best = [of_class[np.argmax(sure[of_class])] for of_class in _of_each_class(measured)]
    worst, answers = np.argsort(sure)[: min(given.num_classes, MOST)], seen["confidence"].argmax(axis=1)
    return [
        ("the classifier's surest\nof each class", given.images[best], [f"{sure[i]:.3f}" for i in best]),
        (
            "its least sure:\nasked, answered",
            given.images[worst],
            [f"{names[given.labels[i]]}, {names[answers[i]]}: {sure[i]:.2f}" for i in worst],
        ),
    ]
