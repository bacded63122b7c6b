"""Peak memory of whole processes: JAX alone, drawing 1,024 images, and training the flagship for 30 steps.

    python -m benchmarks.memory --data-dir DIR          # training on MNIST; without it, on the embedded digits
    python -m benchmarks.memory --repeats 1 --json FILE

Each figure is the largest resident size that the system saw of a fresh process, interpreter and libraries included, so
also the pages of the compiler: with a warm compilation cache (see benchmarks.cold_start) most of them stay on the disk.
JAX alone computes one sum. The arrays of a drawing are its weights and images. A training of 30 steps compiles all that
a longer one does, here without a cache, holds the whole data set, and saves and draws a sample at its end.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks import cold_start, timing
from cganjax import cli

IMAGES = 1024
BARE = "import jax; jax.numpy.ones(3).sum().block_until_ready()"
DRAW = f"import jax, cganjax; cganjax.sample(jax.random.key(0), [3] * {IMAGES}).block_until_ready()"
STEPS = 30
# A process begins with the peak of the one that started it, until then: so a small one stands between.
_BETWEEN = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def peak_bytes(*arguments: str, cache: str | None = None) -> int:
    """The largest resident size of a fresh interpreter that is given these arguments, and of what it started."""
    command = [sys.executable, "-c", _BETWEEN, sys.executable, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=cold_start.environment(cache))
    if done.returncode:
        raise SystemExit(f"python {' '.join(arguments)[:80]} ended with {done.returncode}: nothing was measured")
    # Linux counts in KiB, macOS in bytes.
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


def measure(args) -> Iterator[timing.Row]:
    """Rows of drawing beside JAX alone, and of training."""
    arrays = _arrays()
    with tempfile.TemporaryDirectory() as folder:
        for cache, kind in ((None, "no cache"), (folder, "warm cache")):
            if cache:
                peak_bytes("-c", f"{BARE}\n{DRAW}", cache=cache)  # fills it
            bare, draw = ([peak_bytes("-c", code, cache=cache) for _ in range(args.repeats)] for code in (BARE, DRAW))
            base = sorted(bare)[len(bare) // 2] + arrays
            note = f"{sorted(draw)[len(draw) // 2] / base:.2f} times JAX alone and {arrays / 1e6:.1f} MB of arrays"
            sides, what = {timing.OURS: draw, "JAX alone": bare}, f"{IMAGES:,} images, peak memory, {kind}"
            yield from timing.rows(what, sides, "MB", 1e-6, **{timing.OURS: note})

    train = [_train(args.data_dir) for _ in range(args.repeats)]
    source = "MNIST" if args.data_dir else "the embedded digits"
    what = f"training of `mnist`, {STEPS} steps on {source}, peak memory"
    yield from timing.rows(what, {timing.OURS: train}, "MB", 1e-6, **{timing.OURS: "to the saved checkpoint"})


def _arrays() -> int:
    """Bytes of the weights that a drawing reads and of the images that it makes."""
    import jax

    import cganjax

    generator = cganjax.load("mnist")
    return sum(leaf.nbytes for leaf in jax.tree.leaves(generator.weights)) + IMAGES * 28 * 28 * 4


def _train(data_dir: str | None) -> int:
    data = ["--data-dir", data_dir] if data_dir else ["--dataset", "digits"]
    with tempfile.TemporaryDirectory() as folder:
        return peak_bytes(
            *("-m", "experiments.train", "--backend", "cpu", "--out", f"{folder}/run"),
            *("--stop-after", str(STEPS), *data),
        )


def add(parser) -> None:
    """The flags of this benchmark."""
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        default=os.environ.get("CGANJAX_DATA_DIR"),
        help="train on the MNIST found there (default: CGANJAX_DATA_DIR; without either, the embedded digits)",
    )


def main(argv=None):
    """The command."""
    return timing.command("memory", __doc__, measure, argv, add=add, repeats=3)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
