"""Arrays from .npz and .npy files that a stranger may have made: plain arrays only, and no more than the file can hold.

Every size that a file states is compared with the size of the file before any memory is allocated for it. NumPy's own
`np.load` believes the sizes.
"""

import contextlib
import io
import math
import os
import warnings
import zipfile
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

import numpy as np

MAGIC = b"\x93NUMPY"  # an .npy file begins with it
INFLATED = 1032  # DEFLATE makes at most so many bytes of one: a file of n bytes holds at most 1032 n
_HEAD = 2**14  # bytes that are read as the header of an array; NumPy accepts headers of up to 10,000
_KINDS = "biufcUS"  # the kinds of dtype that are plain values


class NotArrays(ValueError):
    """The file is damaged, or holds something else than plain arrays; the message is the reason, without the path."""


def names(file: BinaryIO) -> list[str]:
    """The names of the arrays in an .npz file, in its order. Raises NotArrays if it is none."""
    with _opened(file) as archive:
        return [*_members(archive)]


def read(file: BinaryIO, wanted: Collection[str] | None = None, *, compressed: bool = True) -> dict[str, np.ndarray]:
    """Arrays of an .npz file by name.

    >>> buffer = io.BytesIO()
    >>> np.savez(buffer, a=np.arange(3))
    >>> read(buffer)["a"].tolist()
    [0, 1, 2]

    Args:
      file: the file, opened for reading bytes.
      wanted: the names of the arrays to read; None for all, and the file may then hold nothing else.
      compressed: whether compressed arrays are accepted. Without them the arrays are no larger than the file.

    Returns:
      The arrays, of numbers, bools or strings.

    Raises:
      NotArrays: the file is damaged, states larger arrays than it can hold, or holds something else than plain arrays.
    """
    with _opened(file) as archive:
        members = _members(archive)
        if wanted is None and len(members) < len(archive.filelist):
            raise NotArrays("it holds more than arrays with names of their own")
        chosen = {name: members[name] for name in (members if wanted is None else wanted)}
        ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if compressed else (zipfile.ZIP_STORED,)
        if any(info.compress_type not in ways for info in chosen.values()):
            raise NotArrays("its arrays are compressed in a way that is not read")
        _check_size(file, sum(info.file_size for info in chosen.values()), compressed)
        return {name: _array(lambda info=info: archive.open(info), info.file_size) for name, info in chosen.items()}


def read_one(file: BinaryIO) -> np.ndarray:
    """The array of an .npy file. Raises NotArrays as `read` does."""

    def start() -> BinaryIO:
        file.seek(0)
        return contextlib.nullcontext(file)

    with _as_not_arrays():
        return _array(start, _size(file))


@contextlib.contextmanager
def _as_not_arrays() -> Iterator[None]:
    """Damage is met in the zip archive, in the compressed bytes, or in the text of a header: no error is common."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of headers that Python 2 wrote, and of those that look so
            yield
    except NotArrays:
        raise
    except Exception as error:
        said = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise NotArrays(said[0]) from None


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    with _as_not_arrays():
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            yield archive


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members that are arrays, by the name of the array. A name is only a key: no path is made of it."""
    members = {}
    for info in archive.filelist:
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise NotArrays(f"it holds two arrays called {name!r}")
        if name and name != info.filename:
            members[name] = info
    return members


def _check_size(file: BinaryIO, stated: int, compressed: bool) -> None:
    most = _size(file) * (INFLATED if compressed else 1)
    if stated > most:
        raise NotArrays(f"it states arrays of {stated:,} bytes and can hold at most {most:,}")


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _header(head: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype that the first bytes of an array state; they are then read up to its values."""
    version = np.lib.format.read_magic(head)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise NotArrays(f"one of its arrays has the unknown version {version}")
    # Version 3 differs from 2 in the encoding of the names of fields, which plain arrays do not have.
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(head)
    return shape, dtype


def _array(start: Any, size: int) -> np.ndarray:
    """An array in the format .npy of so many bytes, header included. `start` opens it at its first byte."""
    with start() as opened:
        head = io.BytesIO(opened.read(min(size, _HEAD)))
    shape, dtype = _header(head)
    if dtype.hasobject:
        raise NotArrays("it holds pickled objects, which are never loaded")
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise NotArrays(f"one of its arrays has the dtype {dtype}: expected numbers, bools or strings")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - head.tell():
        raise NotArrays(f"the header of an array states the shape {shape}, and {size - head.tell():,} bytes follow it")
    with start() as opened:
        array = np.lib.format.read_array(opened, allow_pickle=False)
        if opened.read(1):  # at the end the archive compares the checksum
            raise NotArrays("an array is longer than its header states")
    return array
