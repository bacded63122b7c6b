"""`Dataset`: one split in memory, checked, in canonical order and with a fingerprint. Nothing here reads a file."""

import hashlib
import struct
from typing import NamedTuple

import numpy as np

from cganjax.data import known, splits
from cganjax.spec import DARK_ON_LIGHT, LIGHT_ON_DARK, ImageSpec
from cganjax.types import UserError

ENVIRONMENT = "CGANJAX_DATA_DIR"  # the variable that names the data folder if no argument does
GIVEN = "given arrays"  # the source and the place of images that were given from Python


class NotFound(UserError, FileNotFoundError):
    """There is no data set of that name, or at that place."""


class Dataset(NamedTuple):
    """One split of one data set, whole and in memory, in canonical order (by digest of image and label).

    >>> import cganjax
    >>> dataset = cganjax.dataset("digits", split="test")
    >>> dataset.images.shape, str(dataset.images.dtype), dataset.num_classes
    ((297, 28, 28, 1), 'uint8', 10)
    """

    name: str
    split: str  # "train", "test" or "all", or some rows of it
    images: np.ndarray  # uint8 [N, H, W, C], 0 to 255; of drawn data float32 in [0, 1]
    labels: np.ndarray  # int32 [N], 0..num_classes-1
    spec: ImageSpec
    fingerprint: str  # SHA-256 over the ordered digests: the same for every source of the same images
    source: str  # where it was found, for people and the manifest
    notes: tuple[str, ...] = ()  # warnings that do not stop a run: files of unknown digest
    place: str = ""  # the resolved path of a folder or an .npz file; `GIVEN`; "" for a set that its name finds
    size: int | None = None  # the side in pixels that the pictures of a folder were resized to, if they were

    @property
    def num_classes(self) -> int:
        """K."""
        return self.spec.num_classes


class Raw(NamedTuple):
    """What a source returns: one part of a data set, as the source has it. Only the first two fields are needed."""

    images: np.ndarray  # uint8 [N, H, W, C], or [N, H, W] for grey; drawn data float32 in [0, 1]
    labels: np.ndarray  # int [N], as the source numbers them
    num_classes: int | None = None  # None: the length of class_names, or the largest label plus one
    source: str = ""  # where it was found, for people
    notes: tuple[str, ...] = ()  # warnings that do not stop a run
    class_names: tuple[str, ...] | None = None  # None: the known names of that data set, or "0", "1", ...
    polarity: str | None = None  # of grey images; None: the known one, or decided by `polarity_of`
    place: str = ""  # the resolved path of a set that is found by a path
    size: int | None = None  # the side that pictures were resized to


def polarity_of(*images: np.ndarray) -> str:
    """Whether grey images show light ink on dark paper, or dark ink on light paper.

    The median of all pixels on the borders decides: above 127 the paper is light.

    >>> polarity_of(np.full((2, 4, 4, 1), 255, np.uint8))
    'dark_on_light'

    Args:
      images: one or more arrays of images of one shape, uint8 [N, H, W, C]. Images of three channels count as light on
        dark; nothing uses their polarity.

    Returns:
      "light_on_dark" or "dark_on_light".
    """
    shape = images[0].shape[1:]
    if shape[-1] != 1:
        return LIGHT_ON_DARK
    border = np.ones(shape, bool)
    border[1:-1, 1:-1] = False
    return DARK_ON_LIGHT if np.median(np.concatenate([x[:, border] for x in images])) > 127 else LIGHT_ON_DARK


def canonical(name: str, split: str, parts: list[Raw], rows: slice = slice(None)) -> Dataset:
    """Join the parts, sort them by digest, and take some rows. Every source of the same images gives the same rows.

    Args:
      name: the name of the data set; a known name brings its class names and its first label.
      split: the name of the split that the parts and rows are.
      parts: the parts to join.
      rows: which rows to take, in canonical order.

    Raises:
      UserError: a label is out of range, or no row is left.
    """
    images = np.concatenate([p.images for p in parts])
    names = next((tuple(p.class_names) for p in parts if p.class_names is not None), None)
    first = 0 if names is not None or parts[0].place else known.FIRST_LABEL.get(name, 0)
    num_classes = max(p.num_classes or int(p.labels.max()) + 1 for p in parts) if names is None else len(names)
    if first:
        num_classes = known.KNOWN[name].num_classes
    labels = np.concatenate([p.labels for p in parts]).astype(np.int32) - np.int32(first)
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(
            f"{name} ({split}) from {parts[0].source} has labels {labels.min() + first}.."
            f"{labels.max() + first}: expected {first}..{first + num_classes - 1}"
        )
    digests = [hashlib.md5(x.tobytes() + struct.pack("<i", y)).digest() for x, y in zip(images, labels, strict=True)]
    order = np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)[rows]
    if not len(order):
        raise UserError(f"{name} has {len(digests)} images, and split {split} none of them: choose other rows")
    total = hashlib.sha256(repr((images.shape[1:], num_classes)).encode())
    for i in order:
        total.update(digests[i])
    polarity = next((p.polarity for p in parts if p.polarity is not None), None)
    spec = _spec(name, names, num_classes, images, polarity)
    source = " and ".join(dict.fromkeys(p.source for p in parts))
    notes = tuple(dict.fromkeys(note for p in parts for note in p.notes))
    found = Dataset(name, split, images[order], labels[order], spec, total.hexdigest(), source, notes)
    return found._replace(place=parts[0].place, size=parts[0].size)


def divide(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Divide a data set that came as one piece: (train, test), one image in six of each class for the test.

    The rule is that of folders and files without parts of their own, so the result is the same as theirs.

    Raises:
      UserError: no class has two different images.
    """
    test = splits.test_rows(dataset.images, dataset.labels)
    if not test.any():
        raise UserError(f"{dataset.name} is too small to divide: give at least two different images of a class")
    parts = []
    for split, mine in (("train", ~test), ("test", test)):
        raw = Raw(dataset.images[mine], dataset.labels[mine], dataset.num_classes, dataset.source, dataset.notes)
        part = canonical(dataset.name, split, [raw._replace(place=dataset.place or GIVEN)])
        parts.append(part._replace(spec=dataset.spec, place=dataset.place, size=dataset.size))
    return parts[0], parts[1]


def _spec(
    name: str, names: tuple[str, ...] | None, num_classes: int, images: np.ndarray, polarity: str | None
) -> ImageSpec:
    shape = images.shape[1:]
    spec = known.KNOWN.get(name)
    if names is None and spec is not None and (spec.shape, spec.num_classes) == (shape, num_classes):
        return spec if polarity is None else spec._replace(polarity=polarity)
    if names is None:
        names = tuple(map(str, range(num_classes)))
    return ImageSpec(*shape, names, polarity_of(images) if polarity is None else polarity)
