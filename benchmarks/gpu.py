"""The flagship on an accelerator, against PyTorch there: training by blocks of steps and in bfloat16, and sampling.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --backend cpu --block 2 --batches 64 --repeats 1     # the same script without a GPU
    python -m benchmarks.time_to_quality --backend gpu --data-dir DIR --recipes mnist mnist_fast --out runs/gpu-quality

Training: a block of steps in one call, as `experiments.train --block` does, beside one call per step, and PyTorch eager
and compiled, each in float32 and with bfloat16 products; all start from the same weights, batch and latents, and their
first losses agree before a time is taken (to 5 %: on GPUs both sides may round products of float32 to TF32). Sampling
is that of `benchmarks.sampling`; PyTorch's images stay on the device, as ours do. The last command trains the recipes
on the device, with their seed, and evaluates their images, whose quality should be that of a CPU's run.
"""

import os
import sys

import jax
import jax.numpy as jnp

from benchmarks import sampling, timing, training_step
from cganjax import cli, recipes
from cganjax.training import config as cfg
from cganjax.training import loop

TF32 = 2e-2  # of images in [0, 1], where products have 10 bits


def measure(args):
    """Rows of training, then of sampling."""
    if min(args.block, *args.batches) < 1:
        raise cli.UserError(f"--block is {args.block} and --batches {args.batches}: give at least 1")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the other side needs memory too
    cli.choose_backend(args.backend)
    backend = jax.default_backend()
    device = None
    try:
        import torch
    except ImportError:
        print("left out: PyTorch (pip install torch)")
    else:
        device = "cpu"
        if backend != "cpu":
            if not torch.cuda.is_available():
                raise cli.UserError(
                    f"JAX has a {backend} here, and PyTorch no CUDA device: install a PyTorch with "
                    "CUDA, or uninstall it and have our rows alone"
                )
            device = "cuda"
            torch.set_float32_matmul_precision("high")  # TF32, as JAX's default on GPUs
    print(f"{jax.devices()[0].device_kind}, {backend}")
    for precision in ("float32", "bfloat16"):
        yield from training(args, device, precision)
    others = sampling.peers(not args.no_compile, device) if device else {}
    for batch in args.batches:
        tolerance = sampling.TOLERANCE if backend == "cpu" else TF32
        yield from sampling.of_batch(batch, others, args.repeats, tolerance)


def training(args, device: str | None, precision: str):
    """Rows of as many steps a side as a block has."""
    config = cfg.override(recipes.load(args.recipe), [f"precision={precision}"])
    at = training_step.problem(config)
    step = jax.jit(at.trainer.step, donate_argnums=1)
    block = jax.jit(loop.scanned(at.trainer.step), donate_argnums=1)
    batches = jax.tree.map(lambda x: jnp.stack([x] * args.block), at.batch)

    want = training_step.losses(step, at.key, jax.tree.map(jnp.copy, at.state), at.batch)
    _, info = block(at.key, jax.tree.map(jnp.copy, at.state), batches)
    found = jnp.stack([getattr(info, name) for name in training_step.LOSSES], axis=1)[: len(want)]
    timing.same("losses of a block", want[: len(found)], found, 1e-2)

    sides = {
        timing.OURS: training_step.repeated(block, at.key, at.state, batches, 1),
        "cganjax, a call a step": training_step.repeated(step, at.key, at.state, at.batch, args.block),
    }
    if device:
        from benchmarks import torch_flagship

        forms = {"PyTorch eager": {"channels_last": True}}
        if not args.no_compile:
            forms["PyTorch compile"] = {"compiled": True}
        for name, settings in forms.items():
            settings = settings | {"bfloat16": precision == "bfloat16"}
            sides[name] = training_step.peer_run(torch_flagship, at, want, name, device, args.block, **settings)
    seconds = timing.in_turn(sides, args.repeats)
    images = args.block * config.batch_size
    notes = {name: f"{images / sorted(v)[len(v) // 2]:,.0f} images/s" for name, v in seconds.items()}
    title = f"training step of {args.recipe}, batch {config.batch_size}, blocks of {args.block}, {precision}"
    yield from timing.rows(title, seconds, "ms", 1e3 / args.block, **notes)


def main(argv=None):
    """The command."""

    def add(parser):
        parser.add_argument(
            "--recipe", default="mnist", metavar="NAME", help="of the flagship's family (default: mnist)"
        )
        parser.add_argument("--block", type=int, default=25, metavar="N", help="steps in one call (default: 25)")
        parser.add_argument(
            "--batches",
            type=int,
            nargs="+",
            default=(64, 1024, 4096),
            metavar="N",
            help="images a call of sampling (default: 64 1024 4096)",
        )
        parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
        cli.add_backend(parser)

    return timing.command("gpu", __doc__, measure, argv, add=add)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
