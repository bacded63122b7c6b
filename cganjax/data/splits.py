"""Splits: the words for them, and the rule that divides a data set that comes as one piece into train and test."""

import hashlib
import re
from typing import NamedTuple

import numpy as np

from cganjax import checks
from cganjax.types import UserError

SPLIT = re.compile(r"(train|test|all)(?:\[(\d*):(\d*)\])?")
SPLITS = "train, test or all, or some rows of one, as train[10000:]"
CALIBRATION = 5000  # thresholds come from the first 5,000 test images in canonical order; the others measure
TEST_FRACTION = 6  # one image in six becomes a test image where a data set comes as one piece
_SEED = b"cganjax split 0"


class Split(NamedTuple):
    """A parsed split."""

    parts: tuple[str, ...]  # "train", "test", or both
    rows: slice  # the rows that are taken, in canonical order


def parse(split: str) -> Split:
    """Parse a split.

    >>> parse("all"), parse("train[:100]").rows
    (Split(parts=('train', 'test'), rows=slice(None, None, None)), slice(None, 100, None))

    Raises:
      UserError: it is not train, test or all, with or without rows.
    """
    found = SPLIT.fullmatch(split) if isinstance(split, str) else None
    if found is None:
        raise UserError(f"unknown split {checks.shown(split)}: choose {SPLITS}")
    whole, *ends = found.groups()
    parts = ("train", "test") if whole == "all" else (whole,)
    return Split(parts, slice(*(int(end) if end else None for end in ends)))


def test_rows(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which images of an undivided data set are test images: one in six of each class.

    The digest of an image's pixels decides, so the answer depends on no file name and on no order. Equal images of a
    class go to the same side. A class of two images or more has at least one image on each side, unless all its images
    are equal.

    Args:
      images: uint8 [N, H, W, C].
      labels: int [N].

    Returns:
      bool [N], true for test images.
    """
    digests = np.array([hashlib.md5(_SEED + image.tobytes()).hexdigest() for image in images])
    chosen = np.zeros(len(images), bool)
    for label in np.unique(labels):
        mine = labels == label
        different = np.unique(digests[mine])
        if len(different) > 1:
            test = different[: max(1, len(different) // TEST_FRACTION)]
            chosen |= mine & np.isin(digests, test)
    return chosen
