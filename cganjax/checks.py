"""Checks of what users give: numbers, flags, names, keys, labels and arrays, each with one sentence that names it.

The errors are `BadArgument` (a UserError and a ValueError) and, for a wrong type or dtype, `BadType` (also a
TypeError). Images have a check of their own, `pixels.check_unit`.
"""

import math
import numbers
import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax.types import BadArgument, BadType

_THREEFRY = "threefry2x32"
_SHOWN = 60  # characters of a value in a message


def shown(value: Any) -> str:
    """A value for a message: its `repr` in one line, cut if it is long.

    >>> shown("a" * 100) == repr("a" * 100)[:60] + "..."
    True
    """
    try:
        text = " ".join(repr(value).split())
    except Exception:  # repr may be the user's own, and Python refuses to write integers of many digits
        text = f"of type {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# --- single values ----------------------------------------------------------------------------------------------------


def whole(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """A whole number within low..high, from Python, NumPy or JAX.

    Raises:
      BadType: it is no whole number; True and False are none.
      BadArgument: it is out of range.

    >>> whole("n", np.int64(3), 1)
    3
    """
    expected = f"a whole number{_range(low, high)}"
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise BadType(f"{name} is {shown(value)}: expected {expected}") from None
    if (low is not None and number < low) or (high is not None and number > high):
        raise BadArgument(f"{name} is {shown(number)}: expected {expected}")
    return number


def seed(name: str, value: Any) -> int:
    """A whole number from 0 to 2^32 - 1: JAX takes no more bits of a seed. Raises as `whole` does."""
    return whole(name, value, 0, 2**32 - 1)


def real(
    name: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    above: bool = False,
    below: bool = False,
    advice: str = "",
) -> float:
    """A finite number within low..high, from Python, NumPy or JAX.

    Args:
      above, below: it may not be `low`, or `high`, itself.
      advice: the end of the message.

    Raises:
      BadType: it is no real number; True and False are none.
      BadArgument: it is NaN, infinite or out of range.

    >>> real("fraction", np.float32(0.5), 0, 1)
    0.5
    """
    expected = f"a number{_range(low, high, above, below)}{advice}"
    if not _is_real_number(value):
        raise BadType(f"{name} is {shown(value)}: expected {expected}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf
    too_low = low is not None and (number <= low if above else number < low)
    too_high = high is not None and (number >= high if below else number > high)
    if too_low or too_high or not math.isfinite(number):
        raise BadArgument(f"{name} is {shown(value)}: expected {expected}")
    return number


def _range(low: float | None, high: float | None, above: bool = False, below: bool = False) -> str:
    """The end of "expected a number": " of at least 0, at most 1"."""
    ends = []
    if low is not None:
        ends.append(f"above {low}" if above else f"of at least {low}")
    if high is not None:
        ends.append(f"below {high}" if below else f"at most {high}")
    return f" {', '.join(ends)}" if ends else ""


def _is_real_number(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return False
    if isinstance(value, numbers.Real):
        return True
    an_array = isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, jax.core.Tracer)
    return an_array and value.ndim == 0 and is_real(value.dtype)


def flag(name: str, value: Any) -> bool:
    """True or False. Raises BadType for anything else: a text such as "no" would count as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise BadType(f"{name} is {shown(value)}: expected True or False")
    return bool(value)


def one_of(what: str, value: Any, known: Iterable[str]) -> str:
    """One of the known names. Raises BadArgument, which lists them."""
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise BadArgument(f"unknown {what} {shown(value)}: known are {', '.join(known)}")
    return value


# --- keys -------------------------------------------------------------------------------------------------------------


def _is_key(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def typed_key(key: Any) -> jax.Array:
    """A typed threefry key from a typed key or a legacy uint32 key.

    With an `rbg` key, image i would depend on the images beside it. The first half of such a key is a threefry key of
    the same seed, and is used instead.

    Raises:
      BadType: it is no single key.
    """
    dtype = getattr(key, "dtype", None)
    if _is_key(key) and key.ndim == 0:
        if str(jax.random.key_impl(key)) == _THREEFRY:
            return key
        key = jax.random.key_data(key)
        dtype = key.dtype
    if isinstance(key, (np.ndarray, jax.Array)) and dtype == np.uint32 and key.shape in ((2,), (4,)):
        return jax.random.wrap_key_data(jnp.asarray(key)[:2], impl=_THREEFRY)
    shape = f" of shape {key.shape}" if hasattr(key, "shape") else ""
    raise BadType(f"key is {type(key).__name__}{shape}: expected a single key, such as jax.random.key(0)")


# --- arrays -----------------------------------------------------------------------------------------------------------


def is_real(dtype: Any) -> bool:
    """Whether an array of this dtype holds integers or floats."""
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


def array(name: str, value: Any, expected: str) -> jax.Array | np.ndarray:
    """A NumPy or JAX array, or a tracer, of what was given.

    Raises:
      BadType: it cannot be made an array, as lists of different lengths cannot.
    """
    if isinstance(value, jax.Array) and not _is_key(value):
        return value
    if isinstance(value, (list, tuple)) and any(isinstance(x, jax.core.Tracer) for x in value):
        try:
            return jnp.stack(value)
        except (TypeError, ValueError):
            raise BadType(f"{name} is a list of different things: expected {expected}") from None
    try:
        return np.asarray(value)
    except ValueError:
        what = "are lists of different lengths"
    except Exception:  # an object's own conversion can fail in any way, and a JAX key has none
        what = f"are of type {type(value).__name__}"
    raise BadType(f"{name} {what}: expected {expected}")


def reals(name: str, value: Any, expected: str) -> jax.Array | np.ndarray:
    """A float32 array of finite numbers; the values of a tracer are not known and not checked.

    Raises:
      BadType: they are no real numbers. BadArgument: one is NaN or infinite.
    """
    given = array(name, value, expected)
    if not is_real(given.dtype):
        raise BadType(f"{name} are {given.dtype}: expected {expected}")
    if isinstance(given, jax.core.Tracer):
        return given.astype(jnp.float32)
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is refused
        found = given.astype(np.float32)
    finite = np.isfinite(np.asarray(found))
    if not finite.all():
        at = ", ".join(map(str, np.argwhere(~finite)[0]))
        raise BadArgument(f"{name}[{at}] is {np.asarray(found)[~finite][0]}: expected {expected}, all finite")
    return found


def labels(labels: Any, num_classes: int) -> jax.Array | np.ndarray:
    """Labels as int32 [N].

    Args:
      labels: integers 0..num_classes-1, any array-like of shape [N], or a single integer. Under a transformation of JAX
        their values are not known and not checked.
      num_classes: K.

    Raises:
      BadType: the labels are not integers.
      BadArgument: a label is outside 0..num_classes-1, or the labels have two dimensions.

    >>> labels([3, 1, 12], 10)
    Traceback (most recent call last):
    ...
    cganjax.types.BadArgument: labels[2] is 12: expected an integer from 0 to 9
    """
    expected = f"from 0 to {num_classes - 1}"
    labels = _of_python_integers(array("labels", labels, f"integers {expected} of shape [N]"))
    if labels.ndim > 1:
        raise BadArgument(f"labels have shape {labels.shape}: expected [N] or a single integer")
    if labels.size == 0:
        return np.zeros(0, np.int32)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise BadType(f"labels are {labels.dtype}: expected integers {expected}")
    labels = labels.reshape(-1)
    if isinstance(labels, jax.core.Tracer):
        return labels.astype(jnp.int32)
    labels = np.asarray(labels)
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        at = int(wrong[0])
        raise BadArgument(f"labels[{at}] is {int(labels[at])}: expected an integer {expected}")
    return labels.astype(np.int32)


def _of_python_integers(array: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """Python integers in an object array as int64. None beyond int64 is a label, whatever its exact value."""
    if array.dtype == object and array.size and all(type(x) is int for x in array.ravel()):
        return np.asarray(np.clip(array, -(2**63), 2**63 - 1)).astype(np.int64)
    return array


def paired(inputs: Any, labels: Any, what: str) -> None:
    """Raise BadArgument unless there are as many labels as inputs; `what` names the inputs."""
    given, expected = np.shape(labels)[0], np.shape(inputs)[0]  # `len` knows no symbolic size, as of `jax.export`
    if given != expected:
        raise BadArgument(f"{expected:,} {what} and {given:,} labels were given: expected one label per input")
