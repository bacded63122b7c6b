"""The lines of a run's `metrics.jsonl`: reading them, and comparing them with their seals in the manifest."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from cganjax import run_folder
from cganjax.files import check_kind
from cganjax.run_folder import METRICS, Seal
from cganjax.types import RunFolderWarning

Row = dict[str, Any]
Lines = Sequence[tuple[bytes, Row | None]]  # each line as it is and as a row; None stands for the row of a damaged line


class Found(NamedTuple):
    """The metrics of a run as they were found."""

    rows: list[Row]  # those that can be read, oldest first
    damage: str | None  # a sentence; None if the lines are as they were written, as far as can be told


def read(run: Path) -> list[Row]:
    """The metrics of a run folder, oldest first, without a last line that a crash cut short.

    If a line is damaged or missing, a RunFolderWarning says so, and the lines that can be read are returned.

    Raises:
      CheckpointError: the run's config or manifest is missing or damaged.
    """
    rows, damage = find(run)
    if damage:
        warnings.warn(f"{damage}: the lines that can be read are used here", RunFolderWarning, stacklevel=2)
    return rows


def find(run: Path) -> Found:
    """The metrics of a run folder, compared with the seal of its newest checkpoint. Raises as `read` does."""
    _, manifest = run_folder.read_run(run)
    # A seal is written before its checkpoint: the checkpoint of a later one may never have been finished.
    seals = {step: seal for step, seal in manifest.get("metrics", {}).items() if int(step) <= manifest["steps"]}
    path = run / METRICS
    lines = parse(path.read_bytes() if path.exists() else b"")
    what = damage(lines, seals[max(seals, key=int)] if seals else None, seals)
    return Found([row for _, row in lines if row is not None], what and f"{path} is damaged in {what}")


def parse(data: bytes) -> Lines:
    """The lines of a `metrics.jsonl`. A last line that a crash cut short is left out."""
    *whole, last = ((line, _row(line)) for line in data.split(b"\n"))
    return whole if last[1] is None else [*whole, last]


def digest(lines: Lines) -> str:
    """The digest of lines, as a seal has it."""
    return hashlib.sha256(b"".join(line + b"\n" for line, _ in lines)).hexdigest()


def damage(lines: Lines, seal: Seal | None, seals: Mapping[str, Seal]) -> str | None:
    """Which lines are damaged, in words; None if they are as they were written, as far as can be told.

    Args:
      lines: of the file. Those after the sealed ones need only be rows.
      seal: of the lines. A run of an earlier version has none.
      seals: all of them, by step. They tell where the damage is.
    """
    if damaged := [i for i, (_, row) in enumerate(lines, 1) if row is None]:
        return _said(damaged)
    if seal is None or seal["digest"] == digest(lines[: seal["lines"]]):
        return None
    if len(lines) < seal["lines"]:
        return f"its end, where {seal['lines'] - len(lines)} of {seal['lines']} lines are missing"
    sound = max((s["lines"] for s in seals.values() if s["digest"] == digest(lines[: s["lines"]])), default=0)
    last = min(s["lines"] for s in seals.values() if s["lines"] > sound)
    return f"one of the lines {sound + 1} to {last}, which differ from their digest"


class _Row(TypedDict):
    step: int


def _row(line: bytes) -> Row | None:
    try:
        values = json.loads(line)
        check_kind(values, _Row, METRICS)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, no row
        return None
    return values


def _said(numbers: Sequence[int]) -> str:
    """Numbers of lines in words: "line 3" or "lines 3, 5, 6"; of many the first ones.

    >>> _said([3]), _said([3, 5])
    ('line 3', 'lines 3, 5')
    """
    shown = ", ".join(map(str, numbers[:10])) + f" and {len(numbers) - 10} more" * (len(numbers) > 10)
    return f"line{'s' * (len(numbers) > 1)} {shown}"
