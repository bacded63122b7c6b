"""A JSON file and the .npz file beside it: the first has a digest of itself, of the second, and of every array in it.

So a flipped bit in either file is an error. The JSON file is written last: without it the arrays count for nothing, and
no reader meets a pair that is half-written.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from cganjax import digests, files, npz
from cganjax.types import CheckpointError


class Arrays(TypedDict):
    """What the JSON file says about the .npz file."""

    sha256: str  # of the whole file
    bytes: NotRequired[int]  # its size
    arrays: NotRequired[dict[str, str]]  # the digest of each array by name; files of older formats lack them


def write(values_path: Path, arrays_path: Path, values: Mapping[str, Any], name: str, arrays: Mapping[str, Any]) -> int:
    """Write both files.

    Args:
      values_path: the JSON file.
      arrays_path: the .npz file.
      values: what the JSON file says, with its `format`.
      name: the field that describes the arrays; it is added to the values.
      arrays: by name.

    Returns:
      The size of the .npz file in bytes.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    data = buffer.getvalue()
    values = digests.sealed({**values, name: described(data, arrays)})
    values_path.unlink(missing_ok=True)  # a pair of one new and one old file would pass for damage
    files.write_file(arrays_path, data)
    files.write_json(values_path, values)
    return len(data)


def described(data: bytes, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON file says about the bytes of an .npz file that holds these arrays."""
    each = {name: digests.of_array(array) for name, array in arrays.items()}
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "arrays": each}


def read_values(path: Path, kind: Any, newest: int, oldest: int) -> dict[str, Any]:
    """What the JSON file says.

    Args:
      path: the file.
      kind: the TypedDict of its content; it has `format`.
      newest: the format that has a digest.
      oldest: the oldest format that is read; formats before the newest have no digest.

    Raises:
      CheckpointError: the file is missing, damaged or of another format; it is named.
    """
    _check_file(path)
    values = files.read_json(path, kind)
    # A digest is checked whatever the format says: a flipped bit in `format` does not switch the check off.
    has_digest = digests.DIGEST in values
    if (has_digest or values["format"] == newest) and not digests.is_sealed(values):
        raise CheckpointError(f"{path} is damaged: its digest is not that of its content; get the checkpoint again")
    if not oldest <= values["format"] <= newest or (has_digest and values["format"] != newest):
        raise CheckpointError(
            f"{path} has the format {values['format']}, and this version reads {oldest} to {newest}: it is damaged, or "
            "was made by something else"
        )
    return values


def read_arrays(path: Path, about: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays by name. Nothing larger than the file is ever allocated.

    Args:
      path: the .npz file.
      about: what the JSON file says about it.

    Raises:
      CheckpointError: the file cannot be read, is not the one that was described, or holds something else than plain
        arrays; it is named.
    """
    _check_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): get the checkpoint again") from None
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one on record; get the checkpoint again")
    try:
        arrays = npz.read(io.BytesIO(data), compressed=False)
    except npz.NotArrays as error:
        raise CheckpointError(f"{path} holds no plain arrays: {error}") from None
    if "arrays" in about and about["arrays"] != {name: digests.of_array(array) for name, array in arrays.items()}:
        raise CheckpointError(f"{path} is damaged: its arrays are not those on record; get the checkpoint again")
    return arrays


def _check_file(path: Path) -> None:
    """A device or a pipe would be read without end."""
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path} is no file: get the checkpoint again")
