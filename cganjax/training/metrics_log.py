"""`metrics.jsonl` of a run folder: one JSON object per line, on disk as soon as it is written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cganjax.files import write_file
from cganjax.run_folder import read_metrics


class MetricsLog:
    """`metrics.jsonl`, opened at a step: lines of later steps are dropped, because a resumed run writes them again."""

    def __init__(self, path: Path, step: int):
        self.rows = [row for row in read_metrics(path) if row["step"] <= step]
        write_file(path, "".join(json.dumps(row) + "\n" for row in self.rows).encode())
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append one line and flush it."""
        row = {"step": step, **values}
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
