"""Do decoys deceive classifiers that the attack has not seen? Records and functions for a table of attacks and targets.

Images are attacked through surrogates, each alone and all together, and shown to targets. Counted are the images that
the target classified correctly and its detector accepted before. experiments/transfer.py makes the published table.
"""

import contextlib
import inspect
import io
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from cganjax import files, npz, rng, scores
from cganjax.decoys import attacks, craft, detectors, pool
from cganjax.decoys.detectors import Detector

ALL, NOISE, WHITE, CLEAN = "all surrogates", "random noise", "white box", "generated, no attack"
CLASSES = "reads"  # in the column of detectors: a row of a held-out classifier, which has no detector


class Row(NamedTuple):
    """One cell of the table: an attack at one size, shown to one classifier."""

    attack: str
    epsilon: float
    target: str
    detector: str  # or `CLASSES`
    rejected: float  # percent; NaN without a detector
    classified: float  # percent that is still classified as the label; NaN for real images
    counted: int  # images that both are about


# The names of the columns in the published CSV files.
COLUMNS = ("attack", "epsilon", "judge", "detector", "rejected", "read", "counted")


def row(attack: str, epsilon: float, target: str, detector: str, rejected, classified, counted: int) -> Row:
    """A row from fractions."""
    return Row(attack, epsilon, target, detector, 100 * rejected, 100 * classified, counted)


class Target(NamedTuple):
    """A classifier that decoys are shown to, its detectors, and what it says of the images before any attack."""

    name: str
    classifier: Callable
    detectors: Mapping[str, Detector]  # the first one scores the confidence itself
    correct: np.ndarray  # bool [N], images that are classified as their label
    accepted: Mapping[str, np.ndarray]  # bool [N] for each detector

    @property
    def confidence(self) -> str:
        """The detector by which targets are compared: it scores the highest confidence."""
        return next(iter(self.detectors))

    def still_classified(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """The fraction still classified as the label, of all images that were before the attack, and their number."""
        kept = scores.predictions_of(self.classifier, images) == labels
        return kept[self.correct].mean(), int(self.correct.sum())

    def measure(self, images: np.ndarray, labels: np.ndarray) -> dict[str, tuple[float, float, int]]:
        """(rejected, still classified, counted) for each detector: fractions of the images usable before the attack."""
        kept = scores.predictions_of(self.classifier, images) == labels
        found = {}
        for name, detector in self.detectors.items():
            usable = self.correct & self.accepted[name]
            rejected = np.asarray(detector.rejects(images))
            found[name] = (rejected[usable].mean(), kept[usable].mean(), int(usable.sum()))
        return found


def target(
    name: str,
    classifier: Callable,
    real: np.ndarray,
    real_labels: np.ndarray,
    clean: np.ndarray,
    labels: np.ndarray,
    *,
    confidence_only: bool = False,
) -> Target:
    """Calibrate the detectors that fit a classifier, and look at the images before any attack.

    Args:
      real: [M, H, W, C] in [0, 1] to calibrate on, and their labels int [M].
      clean: [N, H, W, C] in [0, 1], to be attacked, and their labels int [N].
      confidence_only: only the detector of the confidence. Detectors that need more real images are left out anyway.
    """
    fitting = detectors.fitting(classifier)
    made = {
        d: detectors.calibrate(d, classifier, real, labels=real_labels)
        for d in (fitting[:1] if confidence_only else fitting)
        if detectors.images_needed(d, classifier, real.shape[1:]) <= len(real)
    }
    correct = scores.predictions_of(classifier, clean) == labels
    return Target(name, classifier, made, correct, {d: ~np.asarray(x.rejects(clean)) for d, x in made.items()})


def rows_of_real(targets: Sequence[Target], images: Mapping[str, np.ndarray]) -> list[Row]:
    """Rows of images that nothing attacked, by name: real test images, or strange ones."""
    return [
        row(what, 0.0, t.name, name, np.asarray(detector.rejects(shown)).mean(), np.nan, len(shown))
        for t in targets
        for name, detector in t.detectors.items()
        for what, shown in images.items()
    ]


def rows_of_clean(targets: Sequence[Target], held_out: Sequence[Target]) -> list[Row]:
    """Rows of the images before any attack: those rejected or misclassified are left out of all later rows."""
    return [
        row(CLEAN, 0.0, t.name, name, 1 - ok.mean(), t.correct.mean(), len(ok))
        for t in targets
        for name, ok in t.accepted.items()
    ] + [row(CLEAN, 0.0, h.name, CLASSES, np.nan, h.correct.mean(), len(h.correct)) for h in held_out]


class Attack(NamedTuple):
    """One attack of the plan."""

    name: str
    attacked: Callable | list[Callable] | None  # a list, also of one, is attacked by `TRANSFER`; None is random noise
    shown_to: str | None = None  # the only target that it is shown to; None is all


def plan(surrogates: Mapping[str, Callable], targets: Mapping[str, Callable], *, quick: bool = False) -> list[Attack]:
    """Noise and all surrogates together; unless `quick`, also each surrogate alone, and each target with weights."""
    attacks_ = [Attack(NOISE, None), Attack(ALL, [*surrogates.values()])]
    if not quick:
        attacks_ += [Attack(name, [classifier]) for name, classifier in surrogates.items()]
        attacks_ += [Attack(f"{WHITE}: {n}", c, n) for n, c in targets.items() if hasattr(c, "params")]
    return attacks_


class Store:
    """Decoys in a folder, so that an interrupted table goes on from those that are finished.

    A file's name holds the attack, its size, the number of images, the seed, and a checksum of images, weights and
    settings: other images, classifiers or settings are other files.
    """

    def __init__(self, folder: Path, key: jax.Array, clean: np.ndarray, seed: int):
        self._folder, self._key, self._clean, self._seed = folder, key, clean, seed

    def decoys(self, attack: Attack, epsilon: float) -> np.ndarray:
        """The decoys of one attack and size, made now or read: float32 [N, H, W, C]."""
        path = self._path(attack, epsilon)
        if path.exists():
            with contextlib.suppress(npz.NotArrays), path.open("rb") as kept:  # if it is damaged, they are made anew
                return npz.read(kept, ["images"])["images"]
        key = rng.stream(self._key, attack.name)
        if attack.attacked is None:
            images = pool.noise(key, self._clean, epsilon)
        else:
            images = craft.decoy(key, self._clean, attack.attacked, epsilon=epsilon).images
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=images)
        files.write_file(path, buffer.getvalue())
        return images

    def _path(self, attack: Attack, epsilon: float) -> Path:
        several = isinstance(attack.attacked, list)
        victims = attack.attacked if several else [] if attack.attacked is None else [attack.attacked]
        weights = [np.asarray(x).tobytes() for c in victims for x in jax.tree.leaves(getattr(c, "weights", None))]
        method = attacks.METHODS[craft.TRANSFER if several else "pgd"].attack
        # `Task` and `Found` once lived one module higher: files of that time keep their names.
        signature = str(inspect.signature(method)).replace("attacks.task.", "attacks.")
        stamp = zlib.crc32(self._clean.tobytes() + signature.encode(), zlib.crc32(b"".join(weights)))
        name = re.sub("[^A-Za-z0-9_]+", "-", attack.name)
        return self._folder / f"{name}-{epsilon:g}-n{len(self._clean)}-s{self._seed}-{stamp:08x}.npz"


def rows_of_attack(
    attack: Attack,
    epsilon: float,
    images: np.ndarray,
    labels: np.ndarray,
    targets: Iterable[Target],
    held_out: Iterable[Target],
) -> list[Row]:
    """Rows of one attack at one size: its decoys, shown to targets and to held-out classifiers."""
    rows = [
        row(attack.name, epsilon, t.name, detector, *figures)
        for t in targets
        if attack.shown_to in (None, t.name)
        for detector, figures in t.measure(images, labels).items()
    ]
    if attack.shown_to is None:
        rows += [
            row(attack.name, epsilon, h.name, CLASSES, np.nan, *h.still_classified(images, labels)) for h in held_out
        ]
    return rows


def by_confidence(rows: Iterable[Row], targets: Iterable[Target]) -> list[Row]:
    """The rows by which targets are compared, and those of held-out classifiers."""
    first = {t.name: t.confidence for t in targets}
    return [r for r in rows if r.detector in (CLASSES, first.get(r.target))]
