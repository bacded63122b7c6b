"""Reading and writing files whole: nothing half-written, nothing existing lost unasked, errors that name the file."""

import contextlib
import csv
import io
import json
import logging
import numbers
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cganjax.types import CheckpointError, UserError


@contextlib.contextmanager
def quiet(logger: str):
    """Within it, a library's logger says errors only; its level is put back at the end."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


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
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    check_kind(values, kind, path)
    return values


def check_kind(values: Any, kind: Any, where: Path | str) -> None:
    """Raise CheckpointError unless values that were read from `where` are of a kind, such as a TypedDict."""
    import msgspec

    try:
        msgspec.convert(values, kind)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:  # text that is no text, endless nesting
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
    """Write a whole file or nothing: an interrupted write leaves what was there."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def new_file(path: Path, overwrite: bool) -> Path:
    """A path that may be written: its folder is made, and nothing existing is lost unasked."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: give a file name")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists: choose another name or --out, or add --overwrite")
    writable_folder(path.parent)
    return path


def writable_folder(folder: Path) -> Path:
    """Make a folder, and prove that it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".cganjax-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be written ({error.strerror}): choose another folder") from None
    return folder
