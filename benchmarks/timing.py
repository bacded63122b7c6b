"""Two sides in turn, and the record of what came: the one idea that every benchmark here shares."""

import datetime
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from cganjax import cli, parallel

OURS = "cganjax"
PEERS = ("torch", "onnxruntime", "foolbox", "adversarial-robustness-toolbox", "torchattacks")
PACKAGES = ("numpy", "jax", "jaxlib", "flax", "optax", *PEERS)


class Row(NamedTuple):
    """One measured figure. Smaller is better: seconds or bytes, never their inverse."""

    what: str
    side: str  # OURS, or the peer's name
    median: float
    low: float  # the smallest and largest of the repeats
    high: float
    unit: str
    repeats: int
    ratio: float | None = None  # this side's median over ours: above 1, cganjax is better; None of cganjax itself
    note: str = ""


def in_turn(sides: Mapping[str, Callable[[], Any]], repeats: int, pause: float = 0.02) -> dict[str, list[float]]:
    """Seconds of each call, `repeats` times A B C, A B C, ...; each side runs once before, unmeasured.

    A call must not return before its result is there. The pause lets the threads of the side before go to sleep.
    """
    for call in sides.values():
        call()
    seconds = {name: [] for name in sides}
    for _ in range(repeats):
        for name, call in sides.items():
            time.sleep(pause)
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def rows(what: str, values: Mapping[str, list[float]], unit: str, scale: float = 1.0, **notes: str) -> list[Row]:
    """A row a side, with its ratio to ours where ours is among them; `scale` turns the values into the unit."""
    medians = {name: statistics.median(v) for name, v in values.items()}
    ours = medians.get(OURS)
    return [
        Row(
            what,
            name,
            scale * medians[name],
            scale * min(v),
            scale * max(v),
            unit,
            len(v),
            None if name == OURS or ours is None else medians[name] / ours,
            notes.get(name, ""),
        )
        for name, v in values.items()
    ]


def same(what: str, a: Any, b: Any, tolerance: float) -> None:
    """End where two sides do not compute the same, to `tolerance` of the largest value, before a time is taken."""
    import numpy as np

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    off = float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")
    if not off <= tolerance * max(float(np.abs(a).max()), 1e-30):
        raise SystemExit(
            f"{what}: the two sides differ by {off:.3g}, shapes {a.shape} and {b.shape}: nothing was timed"
        )


def environment() -> dict[str, Any]:
    """Versions, commit, machine and date, as they go into the JSON."""
    import jax

    from cganjax.training import manifest

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": parallel.cores(),
        "devices": sorted({device.device_kind for device in jax.devices()}),
        "system": platform.system(),
        "git": manifest.git_state(),
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def line(row: Row) -> str:
    """A row for the terminal."""
    ratio = "" if row.ratio is None else f"  x {row.ratio:.2f}"
    note = f"  ({row.note})" if row.note else ""
    spread = f"[{row.low:.4g} .. {row.high:.4g}, n {row.repeats}]"
    return f"  {row.side:34} {row.median:10.4g} {row.unit:8} {spread}{ratio}{note}"


def command(
    name: str, doc: str, measure: Callable[[Any], Iterable[Row]], argv=None, *, add=None, repeats: int = 9
) -> int:
    """The whole of a benchmark's command: flags, the rows as they come, and `--json FILE`.

    Args:
      name: the module's, after `benchmarks.`.
      doc: its docstring, the help text.
      measure: parsed flags -> rows, in the order to show them.
      add: takes the parser, for flags of its own.
      repeats: the default of `--repeats`.
    """
    parser = cli.Parser(prog=f"python -m benchmarks.{name}", description=doc)
    parser.add_argument("--repeats", type=int, default=repeats, help=f"of each side (default: {repeats})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows and the machine here")
    if add:
        add(parser)
    args = parser.parse_args(argv)
    if args.repeats < 1:
        raise cli.UserError(f"--repeats is {args.repeats}: give at least 1")
    found, what = [], None
    try:
        for row in measure(args):
            if row.what != what:
                print(row.what, flush=True)
            what = row.what
            print(line(row), flush=True)
            found.append(row._asdict())
    finally:  # what was measured before an end that was not meant
        if args.json and found:
            command = ["python", "-m", f"benchmarks.{name}", *(sys.argv[1:] if argv is None else argv)]
            record = {"benchmark": name, "command": command, **environment(), "rows": found}
            args.json.write_text(json.dumps(record, indent=1) + "\n")
            print(args.json)
    return cli.DONE
