"""Random data: `pattern_1010`."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import rng
from cganjax.data.record import Raw


def bright_dark(key: jax.Array, n: int) -> jax.Array:
    """`pattern_1010`: n rows of four pixels, uniform in [.8, 1], [0, .2], [.8, 1], [0, .2]: float32 [n, 1, 4, 1]."""
    low = jnp.array([0.8, 0.0, 0.8, 0.0])
    return (low[None] + 0.2 * jax.random.uniform(key, (n, 4))).reshape(n, 1, 4, 1)


def pattern_1010(part: str, folder: Path | None) -> Raw:
    """10,000 rows, the same for every seed of a run. The published training sees as many rows, each once."""
    images = np.asarray(bright_dark(rng.stream(rng.root(0), f"pattern_1010 {part}"), 10_000))
    return Raw(images, np.zeros(len(images), np.int64), 1, "drawn")
