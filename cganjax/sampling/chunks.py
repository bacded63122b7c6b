"""How many rows a loaded network works on at once, and calls with more rows."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from cganjax import parallel

# Sizes that are compiled for: a call is padded to the next one, and a longer call is made in chunks of the last one. On
# a CPU XLA rounds generators' images in the same way at each of these sizes, so that image i is image i to the bit. At
# 1 and at 64 it rounds in other ways. Nothing is larger than 32, because the intermediate results of many images are
# mapped and unmapped at each call, and because two halves keep two cores busy.
CHUNKS = (2, 8, 32)
CHUNKS_OF_ACCELERATORS = (1, 64, 256, 1024)  # larger ones keep an accelerator busy


def sizes() -> tuple[int, ...]:
    """The sizes for the device that JAX uses, smallest first."""
    return CHUNKS if jax.default_backend() == "cpu" else CHUNKS_OF_ACCELERATORS


def in_chunks(
    function: Callable[[Any], jax.Array], rows: Any, on_rows: Callable[[int], None] = lambda done: None
) -> jax.Array:
    """A function of rows, compiled for `sizes` alone, whatever the number of rows.

    Args:
      function: a tree of arrays [n, ...] -> an array [n, ...] on the device. Several threads call it.
      rows: a tree of arrays [N, ...], at least 1 row.
      on_rows: called with the number of rows done, after each chunk of several.

    Returns:
      Its results [N, ...] on the device. Under a transformation of JAX they are those of one call.
    """
    found = parallel.chunked(function, rows, sizes(), pad=True, threads=True, on_rows=on_rows)
    return jax.device_put(found) if isinstance(found, np.ndarray) else found
