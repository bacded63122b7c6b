"""Quality against time from process start, compilation included: accuracy and Frechet distance of each checkpoint.

    python -m benchmarks.time_to_quality --data-dir DIR                          # mnist_fast: about 6 minutes
    python -m benchmarks.time_to_quality --data-dir DIR --recipes mnist_fast mnist label_score --minutes 30

Each recipe is trained by its own command, `experiments.train`, with more checkpoints than usual, one recipe after the
other, each for so many minutes at most. Then each checkpoint's 10,000 samples are evaluated by `cganjax.evaluate`,
against MNIST's test images. Reached is the first checkpoint with 98 % accuracy and a Frechet distance of at most four
times that of real training images. A recipe's settings were not chosen by these figures. The table, the plot and the
rows keep what earlier runs left of other recipes.
"""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np

import cganjax
from benchmarks import cold_start, timing
from cganjax import checkpoint as ckpt
from cganjax import cli, files, recipes, run_folder
from cganjax.evaluation import reference

ACCURACY, FLOORS = 0.98, 4.0
SAMPLES = 10_000
HEADER = ("recipe", "seconds", "step", "accuracy", "frechet")


def train(recipe: str, args) -> list[tuple[float, Path]]:
    """(seconds since process start, checkpoint folder) of each checkpoint that the command left, in order."""
    steps = recipes.load(recipe).steps
    out = args.runs / recipe
    every = max(1, steps // 20) if args.every is None else args.every
    command = [
        sys.executable,
        "-m",
        "experiments.train",
        "--recipe",
        recipe,
        "--backend",
        args.backend,
        "--out",
        str(out),
        "--overwrite",
        "--keep",
        "1000",
        "--set",
        f"checkpoint_every={every}",
    ]
    command += ["--data-dir", args.data_dir] if args.data_dir else []
    print(" ".join(command[1:]), flush=True)
    began = time.time()
    process = subprocess.Popen(command, env=cold_start.environment(None))
    try:
        process.wait(60 * args.minutes)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # it saves and stops
        process.wait()
    if process.returncode not in (cli.DONE, cli.INTERRUPTED):
        raise cli.UserError(f"training {recipe} ended with exit code {process.returncode}: see above")
    found = [(p.stat().st_mtime - began, p) for p in (out / run_folder.STATES).iterdir() if p.name.isdigit()]
    if not found:
        raise cli.UserError(
            f"training {recipe} left no checkpoint within {args.minutes:g} minutes: give more --minutes"
        )
    return sorted(found)


def evaluated(folder: Path) -> tuple[float, float]:
    """Accuracy and Frechet distance of a checkpoint's samples."""
    labels = np.arange(SAMPLES) % 10
    images = cganjax.sample(jax.random.key(0), labels, checkpoint=folder)
    figures = cganjax.evaluate(np.asarray(images), labels, metrics=["accuracy", "frechet"])
    return figures["accuracy"], figures["frechet"]


def measure(args):
    """Rows: seconds until both aims are reached; the whole curves go into files."""
    args.out.mkdir(parents=True, exist_ok=True)
    # All trainings before any evaluation: it would compile, and hold memory (on a GPU most of it), beside them.
    runs = {recipe: train(recipe, args) for recipe in args.recipes}
    cli.choose_backend(args.backend)
    floor = reference.read(ckpt.find("digits-v1"), cganjax.load_classifier("digits-v1")).rows["real images"]["frechet"]
    curves = kept(args.out / "time-to-quality.csv")
    for recipe, found in runs.items():
        curves[recipe] = [(seconds, int(folder.name), *evaluated(folder)) for seconds, folder in found]
    table = [(recipe, *point) for recipe, points in curves.items() for point in points]
    files.write_csv(args.out / "time-to-quality.csv", HEADER, table, places=4)
    draw(args.out / "time-to-quality.png", curves, floor)
    for recipe, points in curves.items():
        there = [p for p in points if p[2] >= ACCURACY and p[3] <= FLOORS * floor]
        at, last = (there or points[-1:])[0], points[-1]
        whole = recipes.load(recipe).steps
        end = "at the end" if last[1] >= whole else f"where it was stopped, at step {last[1]} of {whole}"
        note = f"{at[2]:.2%}, {at[3]:.3f} at step {at[1]}; {end}, {last[0]:.0f} s: {last[2]:.2%}, {last[3]:.3f}"
        note = ("" if there else "NOT reached; ") + note + ("" if recipe in runs else "; from an earlier run")
        what = (
            f"seconds from process start to {ACCURACY:.0%} and Frechet {FLOORS * floor:.2f} ({FLOORS:.0f} times real)"
        )
        yield timing.Row(what, recipe, at[0], at[0], at[0], "s", 1, None, note)
    print(f"{args.out / 'time-to-quality.csv'}\n{args.out / 'time-to-quality.png'}")


def kept(path: Path) -> dict[str, list[tuple[float, int, float, float]]]:
    """(seconds, step, accuracy, Frechet) of each checkpoint, of the recipes that the table has."""
    curves = {}
    if path.exists():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                point = float(row["seconds"]), int(row["step"]), float(row["accuracy"]), float(row["frechet"])
                curves.setdefault(row["recipe"], []).append(point)
    return curves


def draw(path: Path, curves, floor: float) -> None:
    """Two panels against minutes, on logarithmic scales: errors of class with their aim, Frechet with aim and floor."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    accuracy, frechet = figure.subplots(1, 2)
    for recipe, points in curves.items():
        minutes = [p[0] / 60 for p in points]
        accuracy.plot(minutes, [100 * (1 - p[2]) for p in points], marker="o", markersize=3, linewidth=1, label=recipe)
        frechet.plot(minutes, [p[3] for p in points], marker="o", markersize=3, linewidth=1, label=recipe)
    accuracy.axhline(100 * (1 - ACCURACY), color="k", linewidth=0.8, linestyle=":", label="aim")
    frechet.axhline(FLOORS * floor, color="k", linewidth=0.8, linestyle=":", label="aim: 4 times real images")
    frechet.axhline(floor, color="k", linewidth=0.8, label="real images")
    accuracy.set(xlabel="minutes from process start", ylabel="samples classified as another digit, %", yscale="log")
    frechet.set(xlabel="minutes from process start", ylabel="Frechet distance (digits-v1)", yscale="log")
    for axes in (accuracy, frechet):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main(argv=None):
    """The command."""

    def add(parser):
        parser.add_argument("--data-dir", metavar="DIR", help="a folder with MNIST (see experiments.train --help)")
        parser.add_argument("--recipes", nargs="+", default=["mnist_fast"], metavar="NAME", help="default: mnist_fast")
        parser.add_argument("--minutes", type=float, default=30, help="at most, for each recipe (default: 30)")
        parser.add_argument("--every", type=int, metavar="STEPS", help="steps between checkpoints (default: 20 in all)")
        cli.add_backend(parser)
        parser.add_argument(
            "--runs",
            type=Path,
            default=Path("runs/time-to-quality"),
            metavar="DIR",
            help="run folders, written anew (default: runs/time-to-quality)",
        )
        parser.add_argument(
            "--out",
            type=Path,
            default=Path("docs/results/benchmarks"),
            metavar="DIR",
            help="CSV and PNG (default: docs/results/benchmarks)",
        )

    return timing.command("time_to_quality", __doc__, measure, argv, add=add, repeats=1)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
