"""Checks of what users give to `sample` and to loaded networks: keys, labels, truncation, shapes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_THREEFRY = "threefry2x32"


def check_labels(labels: Any, num_classes: int) -> jax.Array | np.ndarray:
    """Labels as int32 [N].

    Args:
      labels: integers 0..num_classes-1, any array-like of shape [N], or a single integer. Under a transformation of JAX
        their values are not known and not checked.
      num_classes: K.

    Raises:
      TypeError: the labels are not integers.
      ValueError: a label is outside 0..num_classes-1, or the labels have two dimensions.

    >>> check_labels([3, 1, 12], 10)
    Traceback (most recent call last):
    ...
    ValueError: labels[2] is 12: expected an integer from 0 to 9
    """
    labels, expected = _as_array(labels), f"from 0 to {num_classes - 1}"
    if labels.ndim > 1:
        raise ValueError(f"labels have shape {labels.shape}: expected [N] or a single integer")
    if labels.size == 0:
        return np.zeros(0, np.int32)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels are {labels.dtype}: expected integers {expected}")
    labels = labels.reshape(-1)
    if isinstance(labels, jax.core.Tracer):
        return labels.astype(jnp.int32)
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        at = int(wrong[0])
        raise ValueError(f"labels[{at}] is {int(labels[at])}: expected an integer {expected}")
    return labels.astype(np.int32)


def _as_array(labels: Any) -> jax.Array | np.ndarray:
    if isinstance(labels, jax.core.Tracer):
        return labels
    if isinstance(labels, (list, tuple)) and any(isinstance(x, jax.core.Tracer) for x in labels):
        return jnp.stack(labels)
    try:
        array = np.asarray(labels)
    except ValueError:
        raise ValueError("labels are lists of different lengths: expected integers of shape [N]") from None
    if array.dtype == object and array.size and all(isinstance(x, int) for x in array.ravel()):
        # Python integers in an object array. None beyond int64 is a label, whatever its exact value.
        return np.clip(array, -(2**63), 2**63 - 1).astype(np.int64)
    return array


def check_paired(inputs: Any, labels: Any, what: str) -> None:
    """Raise ValueError unless there are as many labels as inputs; `what` names the inputs."""
    given, expected = np.shape(labels)[0], np.shape(inputs)[0]  # `len` knows no symbolic size, as of `jax.export`
    if given != expected:
        raise ValueError(f"{expected} {what} and {given} labels were given: expected one label per input")


def check_count(n: Any) -> int:
    """The number of images of an unconditional checkpoint, 0 or more. Raises TypeError or ValueError."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"n is {n!r}: expected the number of images, because an unconditional checkpoint has no labels")
    if n < 0:
        raise ValueError(f"n is {n}: expected a number of images, 0 or more")
    return int(n)


def typed_key(key: Any) -> jax.Array:
    """A typed threefry key from a typed key or a legacy uint32 key.

    With an `rbg` key, image i would depend on the images beside it. The first half of such a key is a threefry key of
    the same seed, and is used instead.

    Raises:
      TypeError: it is no single key.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and key.ndim == 0:
        if str(jax.random.key_impl(key)) == _THREEFRY:
            return key
        key = jax.random.key_data(key)
        dtype = key.dtype
    if dtype is not None and dtype == np.uint32 and key.shape in ((2,), (4,)):
        return jax.random.wrap_key_data(jnp.asarray(key)[:2], impl=_THREEFRY)
    shape = f" of shape {key.shape}" if hasattr(key, "shape") else ""
    raise TypeError(f"key is {type(key).__name__}{shape}: expected a single key, such as jax.random.key(0)")


def check_truncation(truncation: Any) -> None:
    """Raise TypeError or ValueError unless it is one number in (0, 1]."""
    if not isinstance(truncation, (int, float, np.number, np.ndarray, jax.Array)) or isinstance(truncation, bool):
        raise TypeError(f"truncation is {truncation!r}: expected a number in (0, 1]")
    if np.shape(truncation) != ():
        raise ValueError(f"truncation has shape {np.shape(truncation)}: expected one number in (0, 1]")
    if not jnp.issubdtype(jnp.result_type(truncation), jnp.number):
        raise TypeError(f"truncation is {truncation!r}: expected a number in (0, 1]")
    if not isinstance(truncation, jax.core.Tracer) and not 0 < float(truncation) <= 1:
        raise ValueError(f"truncation is {truncation}: expected a number in (0, 1]")
