"""The files of a run folder: the resolved config, the manifest, the metrics, and the names of the others.

The full states, `checkpoints/STEP/`, are in `cganjax.run_states`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from cganjax.files import read_json
from cganjax.types import CheckpointError

CONFIG, MANIFEST, METRICS = "config.json", "manifest.json", "metrics.jsonl"
CURVES, SAMPLES, STATES = "curves.png", "samples", "checkpoints"


def read_run(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the manifest of a run folder, as JSON values. Raises CheckpointError naming the damaged file."""
    config, manifest = read_json(run / CONFIG), read_json(run / MANIFEST)
    if not all(isinstance(manifest.get(name), dict) for name in ("data", "versions", "git")):
        raise CheckpointError(f"{run / MANIFEST} is damaged: it is no manifest of a run")
    return config, manifest


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`, oldest first; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def remove_run(run: Path) -> None:
    """Delete what a run wrote into its folder, and nothing else."""
    for name in (STATES, SAMPLES):
        shutil.rmtree(run / name, ignore_errors=True)
    for name in (CONFIG, MANIFEST, METRICS, CURVES):
        (run / name).unlink(missing_ok=True)
