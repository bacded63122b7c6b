"""Reading and writing files whole: nothing half-written, nothing existing lost unasked, errors that name the file."""

import contextlib
import csv
import errno
import io
import json
import numbers
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cganjax.types import CheckpointError, UserError

# Of a disk that has no more room: full, its user's quota is used up, or the file is longer than it may be.
FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})


def expanded(path: str | os.PathLike) -> str:
    """A path with its "~" or "~name" expanded, which a shell does only at the beginning of a word.

    >>> expanded("runs/mine")
    'runs/mine'

    Raises:
      UserError: nothing can have this path.
    """
    text = os.fsdecode(path)
    said = text if len(text) <= 60 else f"{text[:40]}..., {len(text)} characters,"
    if not text:
        raise UserError("the path is empty: give a path")
    found = os.path.expanduser(text)
    if found.startswith("~") and not os.path.lexists(found):
        raise UserError(f"{said} names a home folder that does not exist: give another path")
    try:
        os.lstat(found)
    except ValueError:
        raise UserError(f"{text!r} holds a zero byte: give a path without") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{said} is longer than a path may be: give a shorter one") from None
    return found


def read_json(path: Path, kind: Any = dict[str, Any]) -> dict[str, Any]:
    """A JSON object.

    Args:
      path: the file.
      kind: what the object must look like: a TypedDict, see msgspec. It may hold more.

    Raises:
      CheckpointError: the file holds no such object; the message names the file and what is wrong in it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} is no checkpoint: it holds no {path.name}") from None
    except RecursionError:
        raise CheckpointError(f"{path} is damaged: it is nested too deeply") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    check_kind(values, kind, path)
    return values


def check_kind(values: Any, kind: Any, where: Path | str) -> None:
    """Raise CheckpointError unless values that were read from `where` are of a kind, such as a TypedDict."""
    import msgspec

    try:
        msgspec.convert(values, kind)
    except RecursionError:
        raise CheckpointError(f"{where} is damaged: it is nested too deeply") from None
    except (msgspec.ValidationError, UnicodeError) as error:  # of the latter, text that is no text
        raise CheckpointError(f"{where} is damaged: {error}") from None


def write_json(path: Path, values: Any) -> None:
    """Write JSON for people to read."""
    write_file(path, (json.dumps(values, indent=2) + "\n").encode())


def write_csv(path: Path, header: Sequence[Any], rows: Iterable[Sequence[Any]], places: int = 3) -> None:
    """Write a table, whole or not at all; floats with so many decimal places."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(
        [f"{v:.{places}f}" if isinstance(v, numbers.Real) and not isinstance(v, numbers.Integral) else v for v in row]
        for row in rows
    )
    write_file(path, text.getvalue().encode())


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: an interrupted write, a full disk or a power cut leaves what was there.

    A symbolic link stays, and the file that it points to is written. What is no file, such as /dev/stdout, is written
    as it is.

    Raises:
      OSError: the file cannot be written; its name is in the error, also if the disk is full.
    """
    target = Path(os.path.realpath(path))
    # The name holds the process, so that two commands that write one file do not share a part.
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut, if the system can."""
    with contextlib.suppress(OSError):  # not on Windows, nor on every network file system
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def new_file(path: Path, overwrite: bool) -> Path:
    """A path that may be written: its folder is made, and nothing existing is lost unasked."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: give a file name")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists: choose another name or --out, or add --overwrite")
    writable_folder(path.parent)
    return path


def writable_folder(folder: Path) -> Path:
    """Make a folder, and prove that it can be written to.

    Raises:
      UserError: it cannot.
      OSError: its disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".cganjax-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        if error.errno in FULL:
            raise OSError(error.errno, error.strerror, str(folder)) from None
        raise UserError(f"the folder {folder} cannot be written ({error.strerror}): choose another folder") from None
    return folder
