"""Checks of what only `sample` takes: the number of images, and the truncation."""

from typing import Any

import jax
import numpy as np

from cganjax import checks
from cganjax.types import BadArgument, BadType


def check_count(n: Any) -> int:
    """The number of images of an unconditional checkpoint, 0 or more. Raises BadType or BadArgument."""
    if n is None:
        raise BadType("n is None: expected the number of images, because an unconditional checkpoint has no labels")
    return checks.whole("n", n, 0)


def check_truncation(truncation: Any) -> float | jax.Array:
    """One number in (0, 1]; of a tracer the dtype and the shape are checked. Raises BadType or BadArgument."""
    if isinstance(truncation, (np.ndarray, jax.Array)) and truncation.shape != ():
        raise BadArgument(f"truncation has shape {truncation.shape}: expected one number in (0, 1]")
    if not isinstance(truncation, jax.core.Tracer):
        return checks.real("truncation", truncation, 0, 1, above=True)
    if not checks.is_real(truncation.dtype):
        raise BadType(f"truncation is {truncation.dtype}: expected a number in (0, 1]")
    return truncation
