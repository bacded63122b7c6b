"""Asking classifiers by queries alone: what the attacks on any callable on arrays have in common.

Each lowers a function of images and of the rows of the batch that they are tried for (called `value`), shows it many
images at once, and counts how often it was asked for each. The work is on the host, in NumPy, for all images together;
loops are over rounds and queries. Parts have one size, so that a compiled `value` is compiled once.
"""

import numpy as np

from cganjax.decoys.attacks.parts import in_parts
from cganjax.decoys.attacks.task import Value

AT_ONCE = 2000  # images shown at once, at most


def asked(value: Value, images: np.ndarray, rows: np.ndarray, size: int = 0) -> np.ndarray:
    """The value of any number of images, a bounded number at a time: float64 [n].

    Args:
      size: if it is above n, parts are filled up to it: the size of another call.
    """
    size = min(AT_ONCE, max(size, len(images)))
    return in_parts(lambda i: np.asarray(value(images[i], rows[i]), np.float64), np.arange(len(images)), size)
