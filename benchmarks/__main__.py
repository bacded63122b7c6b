"""Every benchmark of time and memory that this machine can run, one after the other.

The results go into docs/results/benchmarks.md, and benchmarks/results.json beside it.

    python -m benchmarks --data-dir DIR                     # all: about half an hour on 2 cores
    python -m benchmarks --only cold_start sampling         # some; of the others the page keeps what it had

Each runs in a process of its own, on an otherwise idle machine if its figures are to mean anything. One that cannot run
here (a peer is not installed, no data) says so and is left out. `benchmarks.kills`, `benchmarks.damage` and
`benchmarks.fuzz` are not among them: they count failures, and each takes long.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import timing
from cganjax import cli, files
from cganjax.training import manifest

# In order, with the flags of each; DATA stands for --data-dir, where it was given.
DATA = "--data-dir"
NAMES = {
    "training_step": ("--bfloat16",),
    "time_to_quality": (DATA, "--backend=cpu"),  # so that its curves are of one machine
    "sampling": ("--million",),
    "cold_start": (),
    "decoys": (DATA,),
    "memory": (DATA,),
    "growth": (),
    "determinism": (),
    "seeds": ("--backend=cpu",),
    "convolution": ("--backend=cpu",),
    "gpu": (),  # if there is a GPU
}
PAGE, RESULTS = Path("docs/results/benchmarks.md"), Path("docs/results/benchmarks/results.json")


def run(name: str, data_dir: str | None) -> dict | None:
    """The record of one benchmark; None where it did not end well."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "record.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(out)]
        for flag in NAMES[name]:
            command += [flag] if flag != DATA else [DATA, data_dir] if data_dir else []
        print(f"\n=== {name}", flush=True)
        code = subprocess.run(command).returncode
        return json.loads(out.read_text()) if code == 0 and out.exists() else None


def accelerator() -> bool:
    """Whether JAX finds one; asked in a process of its own, which lets go of it again."""
    code = "import jax, sys; sys.exit(jax.default_backend() == 'cpu')"
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def page(results: dict) -> str:
    """The tables of all records, in order."""
    lines = [
        "# Results: benchmarks",
        "",
        "Written by `python -m benchmarks --data-dir DIR`. [Performance](performance.md) explains the figures.",
        "",
        "Each row has the median, and the smallest and largest of n repeats. The sides of a comparison run in turn.",
        "The ratio is the time (or memory) of a side divided by ours. Above 1, cganjax is better.",
    ]
    for name in NAMES:
        if name not in results:
            continue
        record = results[name]
        versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
        commit = (record["git"]["commit"] or "of no checkout")[:7] + " and changes" * bool(record["git"]["dirty"])
        machine = f"{record['date']}, commit {commit}, {record['processor']}, {record['cores']} cores"
        machine += f" as {' and '.join(record['devices'])}, Python {record['python']}"
        header = ["| | | median | | ratio | |", "|---" * 6 + "|"]
        lines += ["", f"## {name}", "", f"{machine}; {versions}.", "", *header]
        what = None
        for row in (timing.Row(**r) for r in record["rows"]):
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            spread = f"{row.low:.4g} to {row.high:.4g}, n {row.repeats}"
            shown = row.what if row.what != what else ""
            what = row.what
            lines.append(f"| {shown} | {row.side} | {row.median:.4g} {row.unit} | {spread} | {ratio} | {row.note} |")
    return "\n".join(lines) + "\n"


def main(argv=None) -> int:
    """Run them, and write the page after each."""
    parser = cli.Parser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(NAMES), metavar="NAME", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--data-dir", metavar="DIR", help="a folder with MNIST, for those that train or attack on it")
    args = parser.parse_args(argv)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = files.read_json(RESULTS) if RESULTS.exists() else {}
    left_out, git = [], manifest.git_state()  # before the page changes the checkout
    for name in args.only or [name for name in NAMES if name != "gpu" or accelerator()]:
        record = run(name, args.data_dir)
        if record is None:
            left_out.append(name)
            continue
        # The record speaks of the benchmark, not of where it ran.
        results[name] = {k: v for k, v in record.items() if k != "command"} | {"git": git}
        files.write_json(RESULTS, results)
        files.write_file(PAGE, page(results).encode())
    print(f"\n{PAGE}\n{RESULTS}" + (f"\nleft out, see above: {', '.join(left_out)}" if left_out else ""))
    return cli.FAILED if left_out else cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
