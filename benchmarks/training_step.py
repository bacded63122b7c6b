"""A training step of the flagship against the same networks, loss and optimiser in PyTorch, on all cores.

    python -m benchmarks.training_step
    python -m benchmarks.training_step --bfloat16 --repeats 15

Both sides start from the same weights, batch and latents, and their losses after three steps are compared before a time
is taken: real images against generated ones of the same labels, relativistic pairing, R1 and R2, Adam for both
networks, the average of G. Ours shares the batch among CPU devices, as `experiments.train` does. PyTorch runs eagerly,
eagerly with channels last, and by `torch.compile`, with fused Adam; the penalties are differentiated twice there (in
the compiled program by `torch.func.vjp` inside of it: a double backward through a compiled one is refused). Ours takes
them by one directional derivative (`training.losses`). `penalty_fraction` is the recipe's, 1 as in R3GAN, then 0.5.
"""

import sys
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import timing
from cganjax import cli, models, parallel, recipes, rng
from cganjax.data import known
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.types import Batch

LOSSES = ("loss_generator", "loss_discriminator", "r1", "r2")
CHECKED = 3  # steps whose losses must agree
RUN = 5  # steps of a side before it is the other's turn: a training is a loop, and the first step finds cold caches


def flops(config: cfg.RelativisticGAN) -> float:
    """Multiplications and additions of one step as we compute it, by hand; the optimisers' are below 1 %.

    Per image and pass, forward: G's two products and three convolutions, D's three convolutions and one product. A
    parameters' gradient costs as much again, and so does a gradient of the inputs.
    """
    g, d, n = config.generator, config.discriminator, config.batch_size
    g_pass = 2 * (
        (g["latent_size"] + g["embedding"]) * g["hidden"]
        + g["hidden"] * 49 * g["width_7"]
        + 9 * (49 * g["width_7"] * 2 * g["width_7"] + 196 * g["width_7"] // 2 * g["width_14"] + 196 * g["width_14"] * 4)
    )
    d_pass = 2 * (
        9 * (196 * 4 * d["width_14"] + 49 * 4 * d["width_14"] * d["width_7"] + 49 * d["width_7"] ** 2)
        + 49 * d["width_7"] * d["hidden"]
    )
    head = round(config.penalty_fraction * n)
    # G: forward and both gradients. D's step: 4 passes where penalised, else 3, over real and generated images. G's
    # step: both scored, and the gradient of the generated images.
    return n * 3 * g_pass + (2 * (4 * head + 3 * (n - head)) + 3 * n) * d_pass


def measure(args):
    """Rows: for each fraction of penalised images, ours and PyTorch's."""
    try:
        import torch

        from benchmarks import torch_flagship
    except ImportError:
        raise cli.UserError("PyTorch is missing: pip install torch==2.13.0") from None
    batch_size = recipes.load("mnist").batch_size
    devices = args.devices or parallel.devices_for(batch_size, parallel.cores())
    if batch_size % devices:
        raise cli.UserError(f"--devices is {devices}: give a divisor of {batch_size}")
    cli.choose_backend("cpu", cpu_devices=devices)
    args.spread = parallel.Spread(devices)
    torch.set_num_threads(parallel.cores())

    forms = {"PyTorch eager": {}, "PyTorch eager, channels last": {"channels_last": True}}
    if not args.no_compile:
        forms["PyTorch compile"] = {"compiled": True}
    for changes in ([], ["penalty_fraction=0.5"]):
        config = cfg.override(recipes.load("mnist"), changes)
        title = f"training step, batch {config.batch_size}, penalties on {config.penalty_fraction:.0%} of it"
        yield from _rows(args, torch_flagship, config, forms, f"{title}, float32", flops(config))
        if args.bfloat16:
            low = cfg.override(config, ["precision=bfloat16"])
            halves = {name: settings | {"bfloat16": True} for name, settings in forms.items()}
            yield from _rows(args, torch_flagship, low, halves, f"{title}, bfloat16 products", flops(config))


def _rows(args, peer, config, forms, title, work):
    at = problem(config)
    step = args.spread.jit(at.trainer.step)
    sides = {timing.OURS: repeated(step, at.key, args.spread.place(at.state), at.batch, RUN)}
    # On a single device the placed state is the state itself, which a step would take over.
    want = losses(step, at.key, args.spread.place(jax.tree.map(jax.numpy.copy, at.state)), at.batch)
    sides |= {name: peer_run(peer, at, want, name, "cpu", RUN, **settings) for name, settings in forms.items()}
    rows = timing.rows(title, timing.in_turn(sides, args.repeats), "ms", 1e3 / RUN)
    rate = f"{work / 1e9:.1f} GFLOP as we do it, {work / 1e6 / rows[0].median:.0f} GFLOP/s"
    return [rows[0]._replace(note=rate), *rows[1:]]


class Problem(NamedTuple):
    """Where both sides start from."""

    config: cfg.RelativisticGAN
    latent_size: int
    trainer: algorithms.Trainer
    key: jax.Array
    state: Any
    batch: Batch


def problem(config: cfg.RelativisticGAN) -> Problem:
    """A recipe's first state, and a batch: noise of the images' range, half of it background."""
    networks = models.build(config, known.KNOWN[config.dataset])
    trainer, key = algorithms.build(config, networks), rng.root(config.seed)
    random = np.random.default_rng(0)
    images = np.maximum(random.integers(-255, 256, (config.batch_size, 28, 28, 1)), 0).astype(np.uint8)
    labels = np.arange(config.batch_size, dtype=np.int32) % 10
    batch = Batch(jax.numpy.asarray(images), jax.numpy.asarray(labels))
    return Problem(config, networks.latent_size, trainer, key, jax.jit(trainer.init)(key), batch)


def losses(step, key, state, batch) -> list[list[float]]:
    """Of G and D, and R1 and R2, in the first steps; `step` may take the state's memory."""
    found = []
    for _ in range(CHECKED):
        state, info = step(key, state, batch)
        found.append([float(getattr(info, name)) for name in LOSSES])
    return found


def repeated(step, key, state, batch, times: int):
    """A call of so many steps, each from the state that the one before left, that waits for the last."""
    held = [jax.tree.map(jax.numpy.copy, state)]  # a step takes over its state's memory

    def call():
        for _ in range(times):
            held[0], _ = step(key, held[0], batch)
        jax.block_until_ready(held[0])

    return call


def peer_run(peer, at: Problem, want, name: str, device: str, times: int, **settings):
    """The same of PyTorch on its `device`, once its first losses were found to be those that are wanted."""
    import torch

    def latents(i):
        drawn = jax.random.normal(
            jax.random.fold_in(rng.stream(at.key, "z"), i), (len(at.batch.labels), at.latent_size)
        )
        return torch.from_numpy(np.array(at.config.latent_std * drawn)).to(device)

    weights = jax.device_get((at.state.generator.params, at.state.discriminator.params))
    networks = peer.generator(weights[0]), peer.discriminator(weights[1])
    training = peer.Training(at.config, *networks, device=device, **settings)
    real = torch.from_numpy(np.asarray(at.batch.images).transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    real = real.to(
        device, memory_format=torch.channels_last if settings.get("channels_last") else torch.contiguous_format
    )
    labels = torch.from_numpy(np.asarray(at.batch.labels, np.int64)).to(device)
    gamma, z = algorithms.relativistic.gamma_schedule(at.config), [latents(i) for i in range(CHECKED)]
    found = [[float(v) for v in training.step(real, labels, z[i], float(gamma(i)))] for i in range(CHECKED)]
    timing.same(f"losses of {name}", want, found, 5e-2 if settings.get("bfloat16") or device != "cpu" else 1e-3)

    def call():
        for _ in range(times):
            training.step(real, labels, z[0], 1.0)
        if device != "cpu":
            torch.cuda.synchronize()

    return call


def main(argv=None):
    """The command."""

    def add(parser):
        parser.add_argument(
            "--devices", type=int, metavar="N", help="of ours, that share a batch (default: one per core)"
        )
        parser.add_argument("--bfloat16", action="store_true", help="also with bfloat16 products on both sides")
        parser.add_argument(
            "--no-compile", action="store_true", help="leave torch.compile out: it takes a minute or two"
        )

    return timing.command("training_step", __doc__, measure, argv, add=add)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
