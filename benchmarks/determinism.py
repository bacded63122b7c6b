"""What `--deterministic` costs a training step: the same steps with as many threads as cores, and with one per device.

    python -m benchmarks.determinism
    python -m benchmarks.determinism --recipe digits --steps 50 --repeats 5

Each time is the mean of some steps of a fresh process, since XLA fixes its threads when it starts; compiling is left
out, and the sides run in turn. The default of `cganjax train` on a CPU is one device per core where its algorithm gains
by that, and each of several devices has one thread: with the same `--devices` there is next to nothing to pay.
"""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks import timing
from cganjax import cli, parallel, recipes

STEPS = """
import sys, time
recipe, devices, fixed, steps = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", int(sys.argv[4])
from cganjax import cli, determinism
if fixed:
    determinism.fix()
cli.choose_backend("cpu", cpu_devices=devices)
import jax, numpy as np
import cganjax
from cganjax import parallel, rng
from cganjax.data import known
from cganjax.types import Batch

config = cganjax.recipe(recipe)
spec = known.KNOWN[config.dataset]
images = np.random.default_rng(0).integers(0, 256, (config.batch_size, *spec.shape)).astype(np.uint8)
batch = Batch(images, (np.arange(config.batch_size) % spec.num_classes).astype(np.int32))
trainer, key, spread = cganjax.trainer(config, spec), rng.root(0), parallel.Spread(devices)
step, state = spread.jit(trainer.step), spread.place(jax.jit(trainer.init)(key))
state, _ = jax.block_until_ready(step(key, state, batch))
began = time.perf_counter()
for _ in range(steps):
    state, _ = step(key, state, batch)
jax.block_until_ready(state)
print((time.perf_counter() - began) / steps)
"""


def seconds(recipe: str, devices: int, fixed: bool, steps: int) -> float:
    """The time of a step in a fresh process."""
    line = [sys.executable, "-c", STEPS, recipe, str(devices), str(fixed), str(steps)]
    return float(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def measure(args) -> Iterator[timing.Row]:
    """One row per number of devices and threads; ratios are to one device with all cores."""
    cores = parallel.cores()
    sides = {
        timing.OURS: (1, False),
        "1 device, deterministic": (1, True),
        f"{cores} devices": (cores, False),
        f"{cores} devices, deterministic": (cores, True),
    }
    values = {name: [] for name in sides}
    for repeat in range(args.repeats + 1):  # the first round fills the compilation cache
        for name, (devices, fixed) in sides.items():
            took = seconds(args.recipe, devices, fixed, args.steps)
            if repeat:
                values[name].append(took)
    yield from timing.rows(f"a step of {args.recipe} on {cores} cores", values, "ms", 1e3)


def _flags(parser) -> None:
    parser.add_argument("--recipe", default=recipes.DEFAULT, help=f"default: {recipes.DEFAULT}")
    parser.add_argument("--steps", type=int, default=10, help="steps of each process (default: 10)")


def main(argv=None) -> int:
    """Time the sides in turn."""
    return timing.command("determinism", __doc__, measure, argv, add=_flags, repeats=3)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
