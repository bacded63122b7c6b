"""A function of many rows, applied to some of them at a time, in parts of one size so that it is compiled once."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from cganjax import parallel


def at_once(*, gradient: bool = True) -> int:
    """How many images to attack at once, if the user does not say.

    On a CPU the activations of a layer for more than some 250 images no longer fit the cache, and a gradient step
    takes twice as long per image. Attacks by queries consist of many small calls, and other devices prefer large
    batches.
    """
    return 100 if gradient and jax.default_backend() == "cpu" else 500


def in_parts(function: Callable[[Any], Any], rows: Any, size: int | Sequence[int], *, threads: bool = False) -> Any:
    """`function(rows)`, `size` rows at a time.

    The last part is filled up to `size`, or to the next of several sizes, with its last row, so that one compiled
    program for each size serves all parts.

    Args:
      function: of a pytree like `rows` with `size` rows, to a pytree of arrays with as many rows.
      rows: a pytree of arrays with N rows each.
      threads: parts may be computed at the same time, see `parallel.in_turn`.

    Returns:
      What `function` returns, as NumPy arrays of N rows.
    """
    found = parallel.chunked(function, rows, size, pad=True, threads=threads)
    return jax.tree.map(np.asarray, found)
