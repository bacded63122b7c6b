"""`metrics.jsonl` of a run folder: one JSON object per line, on disk as soon as it is written.

Each checkpoint has a `Seal`: the number of lines that belong to it, and their digest. A run that is resumed from it
goes on after exactly these lines, and whatever differs from the digest is named.
"""

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cganjax import metrics_lines
from cganjax.files import write_file
from cganjax.run_folder import Seal
from cganjax.training.loop import Sums
from cganjax.types import RunFolderWarning


class MetricsLog:
    """`metrics.jsonl`, opened at a step: lines of later steps are dropped, because a resumed run writes them again.

    `rows` are its lines. `carried` are the sums of the interval that the step lies in, if it lies between two lines:
    the next line is to include them.
    """

    def __init__(self, path: Path, step: int, seals: Mapping[str, Seal]):
        """Read the lines up to a step.

        No intact line is lost: if there is any damage, the file as it was is kept beside the new one, and a
        RunFolderWarning says so. `damage` is its sentence, or None.

        Args:
          path: the file; a missing one is empty.
          step: of the checkpoint that the run goes on from, or 0.
          seals: by step. A run of an earlier version has none.
        """
        data = path.read_bytes() if path.exists() else b""
        seal = seals.get(str(step)) if step else {"lines": 0, "digest": metrics_lines.digest([])}
        lines = metrics_lines.parse(data)
        lines = lines if seal is None else lines[: seal["lines"]]
        intact = [(line, row) for line, row in lines if row is not None and row["step"] <= step]
        text = b"".join(line + b"\n" for line, _ in intact)

        self.rows = [row for _, row in intact]
        self.seals = {at: s for at, s in seals.items() if int(at) <= step}
        cut = seal.get("cut") if seal else None
        self.carried = Sums(cut["steps"], cut["sums"]) if cut else None
        self._lines, self._hash = len(intact), hashlib.sha256(text)

        self.damage = metrics_lines.damage(lines, seal, self.seals)
        if self.damage:
            before = path.with_name(f"{path.name}.damaged-{step}")
            self.damage = f"{path} is damaged in {self.damage}: the run goes on with the intact lines"
            if data:
                write_file(before, data)
                self.damage += f", and {before.name} is the file as it was"
            warnings.warn(self.damage, RunFolderWarning, stacklevel=2)
        write_file(path, text)
        self._path, self._file = path, path.open("ab")
        self._cut = self.carried
        if self.damage:
            self.seals.clear()
            self.seal(step)
        self._cut = None

    def cut(self, sums: Sums) -> None:
        """The next row is of an interval that the run was stopped in: these are its sums, for the run that resumes."""
        self._cut = sums

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append one line and flush it."""
        row = {"step": step, **values}
        line = json.dumps(row).encode() + b"\n"
        self.rows.append(row)
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:  # a full disk names no file itself
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        if self._cut is None:  # else the resumed run writes another line, of the whole interval
            self._lines += 1
            self._hash.update(line)

    def seal(self, step: int) -> None:
        """Note the lines so far as those of the checkpoint of this step, once they are on disk."""
        os.fsync(self._file.fileno())
        self.seals[str(step)] = {"lines": self._lines, "digest": self._hash.hexdigest()} | (
            {"cut": self._cut._asdict()} if self._cut else {}
        )

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # what did not fit on the disk is tried once more: `write` has raised
            self._file.close()
