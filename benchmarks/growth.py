"""How the time of drawing and of training grows: with the batch, the image's size and the number of classes.

    python -m benchmarks.growth
    python -m benchmarks.growth --only sampling step --repeats 3

Of each series a straight line time = a + b n is fitted to the medians (least squares of the relative deviations); its
row is b, and says a, R^2 and the point furthest from the line. Sizes of a series are run in turn. Arithmetic is counted
by hand and held against XLA's own count to 2 %; both leave out products with the zeros around a grid. The rate is a
fraction of a float32 product of 2048x2048 matrices, measured in the same turns.

Where a line is not straight, and why:
- Drawing 2 to 32 images on a CPU costs the same: they are padded to 32, so that image i is the same to the bit whatever
  is drawn with it. One image is a program of its own, reads all weights for itself alone, and here finds cold caches
  (benchmarks.sampling has it among others of its kind). From 32 on it is straight, in steps of 32.
- A training step, here on one device, has next to no fixed part. At 512 it lies a fifth above the line.
- The networks fix 28x28. For 32x32 the same stages are built here, on grids of 8, 16 and 32, for 1.31 times the pixels.
- Classes enter by a row of an embedding table: they cost nothing but the optimiser's pass over the table, so R^2 of
  drawing by classes says nothing.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import cganjax
from benchmarks import timing
from cganjax import cli, models, rng, sampling
from cganjax.data import known
from cganjax.models import depth_to_space as family
from cganjax.spec import ImageSpec
from cganjax.training import algorithms, config
from cganjax.types import Batch, Weights

DRAWN = (1, 4, 16, 64, 256, 1024, 4096)
TRAINED = (16, 32, 64, 128, 256, 512)
CLASSES = (10, 26, 47, 100, 1000)
GRIDS = (28, 32)
BATCH = 64  # of the series that are not about it
MATMUL = 2048
PARTS = ("sampling", "step", "grid", "classes")


# --- arithmetic -------------------------------------------------------------------------------------------------------


def forward_flops(settings: config.RelativisticGAN, side: int = 28) -> tuple[int, int]:
    """Multiplications and additions of one image's way through G and through D."""
    g, d = settings.generator, settings.discriminator
    small, middle = side // 4, side // 2

    def dense(inputs, outputs):
        return 2 * inputs * outputs

    def conv(grid, inputs, outputs):
        return (3 * grid - 2) ** 2 * dense(inputs, outputs)  # of 9 places at each point, those within the grid

    generator = (
        dense(g["latent_size"] + g["embedding"], g["hidden"])
        + dense(g["hidden"], small**2 * g["width_7"])
        + conv(small, g["width_7"], 2 * g["width_7"])
        + conv(middle, g["width_7"] // 2, g["width_14"])
        + conv(middle, g["width_14"], 4)
    )
    discriminator = (
        conv(middle, 4, d["width_14"])
        + conv(small, 4 * d["width_14"], d["width_7"])
        + conv(small, d["width_7"], d["width_7"])
        + dense(small**2 * d["width_7"], d["hidden"])
        + dense(d["hidden"], 2)  # the score, and the projection on the label
    )
    return generator, discriminator


def step_flops(settings: config.RelativisticGAN, side: int = 28) -> float:
    """Those of one update: G's forward pass and both gradients, D's passes as `training_step.flops` has them."""
    g, d = forward_flops(settings, side)
    return settings.batch_size * (3 * g + (2 * (3 + settings.penalty_fraction) + 3) * d)


def counted(function: Callable, *arguments: Any) -> float:
    """XLA's own count of a whole call."""
    return float(jax.jit(function).lower(*arguments).cost_analysis()["flops"])


def check_flops(networks: models.Networks, settings: config.RelativisticGAN, side: int) -> None:
    """End where the hand's count of a forward pass is more than 2 % from XLA's."""
    z, labels = jnp.zeros((BATCH, networks.latent_size)), jnp.zeros(BATCH, jnp.int32)
    images = jnp.zeros((BATCH, side, side, 1))
    by_hand = forward_flops(settings, side)
    for network, x, flops in zip((networks.generator, networks.discriminator), (z, images), by_hand, strict=True):
        by_xla = counted(network.apply, jax.eval_shape(network.init, jax.random.key(0)), x, labels) / BATCH
        if abs(flops / by_xla - 1) > 0.02:
            raise SystemExit(f"{flops:.3g} operations an image by hand, {by_xla:.3g} by XLA: nothing was timed")


# --- the networks on another grid -------------------------------------------------------------------------------------


class Generator(nn.Module):
    """The flagship's stages on grids of `small`, 2 `small` and 4 `small` pixels; at 7 it is the flagship's G."""

    small: int
    settings: Mapping[str, int]

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array) -> jax.Array:
        def lrelu(x):
            return nn.leaky_relu(x, 0.2)

        s, side = self.settings, self.small
        x = jnp.concatenate([z, nn.Embed(10, s["embedding"])(labels)], axis=-1)
        x = lrelu(nn.Dense(s["hidden"])(x))
        x = lrelu(nn.Dense(side * side * s["width_7"])(x)).reshape(-1, side, side, s["width_7"])
        x = family.depth_to_space(lrelu(nn.Conv(2 * s["width_7"], (3, 3))(x)))
        x = lrelu(nn.Conv(s["width_14"], (3, 3))(x))
        x = nn.Conv(4, (3, 3))(x)
        return jnp.tanh(family.depth_to_space(x))


def networks_on(side: int, settings: config.RelativisticGAN, like: models.Networks) -> models.Networks:
    """Pure functions of images of side x side pixels."""
    plain = {k: v for k, v in settings.generator.items() if k != "latent_size"}
    generator = Generator(side // 4, plain)
    # D takes any grid: its one fixed size is its first dense layer's, which comes from what it sees first (`init`), or
    # from the parameters (`scaled`, which is that of 28x28).
    discriminator = family.Discriminator(num_classes=10, **settings.discriminator)
    label = jnp.zeros(1, jnp.int32)

    def network(module, x, *more, scaled=None):
        def init(key):
            return Weights(module.init(key, x, label, *more)["params"], {})

        def apply(weights, x, labels):
            return module.apply({"params": weights.params}, x, labels, *more)

        return models.Network(init, apply, None, None, scaled)

    return like._replace(
        generator=network(generator, jnp.zeros((1, like.latent_size))),
        discriminator=network(discriminator, jnp.zeros((1, side, side, 1)), False, scaled=like.discriminator.scaled),
        spec=ImageSpec.numbered(side, side, 1, 10),
    )


# --- the measurements -------------------------------------------------------------------------------------------------


def measure(args) -> Iterator[timing.Row]:
    """The rows of every series that is asked for."""
    cli.choose_backend("auto")  # with freed memory kept, as in a training
    card = cganjax.load("mnist").card
    settings = config.from_json(card["config"])
    networks = models.build(settings, known.KNOWN[settings.dataset])
    check_flops(networks, settings, 28)
    parts = {"sampling": of_sampling, "step": of_step, "grid": of_grid, "classes": of_classes}
    for part in args.only:
        yield from parts[part](settings, networks, args.repeats)


def of_sampling(settings, networks, repeats) -> Iterator[timing.Row]:
    """Of `cganjax.sample` by the number of images."""
    calls = {n: drawing(cganjax.load("mnist"), n) for n in DRAWN}
    flops = {n: n * forward_flops(settings)[0] for n in DRAWN}
    yield from series("drawing, by images", calls, flops, repeats, "image", begin=64)


def of_step(settings, networks, repeats) -> Iterator[timing.Row]:
    """Of the flagship's training step by its batch."""
    calls, flops = {}, {}
    for n in TRAINED:
        of_n = dataclasses.replace(settings, batch_size=n)
        calls[n], flops[n] = training(of_n, networks), step_flops(of_n)
    yield from series("a training step, by real images", calls, flops, repeats, "image")


def of_grid(settings, networks, repeats) -> Iterator[timing.Row]:
    """Of G and of a training step at 28x28 and 32x32."""
    generators, trainings, of_g, of_training = {}, {}, {}, {}
    shipped = cganjax.load("mnist")
    for side in GRIDS:
        there = networks_on(side, settings, networks)
        check_flops(there, settings, side)
        key, labels = jax.random.key(side), jnp.arange(BATCH, dtype=jnp.int32) % 10
        z, apply = jax.random.normal(key, (BATCH, there.latent_size)), jax.jit(there.generator.apply)
        if side == 28:
            ours = apply(shipped.weights, z, labels) * 0.5 + 0.5
            timing.same("the stages on a grid of 7 and the shipped G", shipped(z, labels), ours, 1e-4)
        weights = there.generator.init(key)
        generators[side] = lambda a=(weights, z, labels), apply=apply: jax.block_until_ready(apply(*a))
        of_g[side] = BATCH * forward_flops(settings, side)[0]
        of_batch = dataclasses.replace(settings, batch_size=BATCH)
        trainings[side], of_training[side] = training(of_batch, there), step_flops(of_batch, side)
    for what, calls, flops in (("G", generators, of_g), ("a training step", trainings, of_training)):
        seconds, matmul = timed(calls, repeats)
        medians = {side: np.median(seconds[side]) for side in GRIDS}
        for side in GRIDS:
            more = f", {medians[side] / medians[28]:.2f} times 28x28 for 1.31 times the pixels" if side != 28 else ""
            note = rate(flops[side], medians[side], matmul) + more
            name, unit = f"{side}x{side}", "ms"
            yield from timing.rows(f"{what}, {BATCH} images", {name: seconds[side]}, unit, 1e3, **{name: note})


def of_classes(settings, networks, repeats) -> Iterator[timing.Row]:
    """Of drawing and of a training step by the number of classes."""
    drawings, trainings, of_g, of_training = {}, {}, {}, {}
    for k in CLASSES:
        there = models.build(settings, ImageSpec.numbered(28, 28, 1, k))
        weights = there.generator.init(jax.random.key(k))
        generator = sampling.Generator(weights, k, there.image_shape, {}, there.generator.apply, there.latent_size)
        drawings[k], of_g[k] = drawing(generator, BATCH), BATCH * forward_flops(settings)[0]
        of_batch = dataclasses.replace(settings, batch_size=BATCH)
        trainings[k], of_training[k] = training(of_batch, there), step_flops(of_batch)
    yield from series(f"drawing {BATCH} images, by classes", drawings, of_g, repeats, "class")
    yield from series(f"a training step of {BATCH} images, by classes", trainings, of_training, repeats, "class")


def drawing(generator: sampling.Generator, n: int) -> Callable[[], Any]:
    """A call that draws n images."""
    key, labels = jax.random.key(n), np.arange(n) % generator.num_classes
    return lambda: jax.block_until_ready(sampling.sample_from(generator, key, labels))


def training(settings: config.RelativisticGAN, networks: models.Networks) -> Callable[[], Any]:
    """A call that makes one update on made-up images."""
    trainer, key = algorithms.build(settings, networks), rng.root(0)
    numbers, n = np.random.default_rng(0), settings.batch_size
    batch = Batch(
        jnp.asarray(numbers.integers(0, 256, (n, *networks.image_shape), np.uint8)),
        jnp.asarray(numbers.integers(0, networks.num_classes, n, np.int32)),
    )
    states, step = [trainer.init(key)], jax.jit(trainer.step, donate_argnums=1)

    def call():
        states[0], info = step(key, states[0], batch)  # the step takes over the state's memory
        jax.block_until_ready((states[0], info))

    return call


def timed(calls: Mapping[int, Callable[[], Any]], repeats: int) -> tuple[dict[int, list[float]], float]:
    """Seconds of every call in turn, and the operations a second of the large product among them."""
    a = jax.random.normal(jax.random.key(0), (MATMUL, MATMUL))
    product = jax.jit(jnp.matmul)
    sides = {"product": lambda: jax.block_until_ready(product(a, a))} | {n: call for n, call in calls.items()}
    seconds = timing.in_turn(sides, repeats)
    return seconds, 2 * MATMUL**3 / float(np.median(seconds.pop("product")))


def rate(flops: float, seconds: float, matmul: float) -> str:
    """Operations a second, and as a fraction of the large product's."""
    return f"{flops / seconds / 1e9:.0f} GFLOP/s, {100 * flops / seconds / matmul:.0f} % of a matrix product's"


def series(
    what: str,
    calls: Mapping[int, Callable[[], Any]],
    flops: Mapping[int, float],
    repeats: int,
    unit: str,
    begin: int = 0,
) -> Iterator[timing.Row]:
    """A row for each size, and the straight line through those from `begin` on."""
    seconds, matmul = timed(calls, repeats)
    for n, values in seconds.items():
        median, name = (
            float(np.median(values)),
            f"{n:,} {unit if n == 1 else unit + ('es' if unit == 'class' else 's')}",
        )
        each = f"{1e3 * median / n:.3f} ms each, " if unit == "image" else ""
        yield from timing.rows(what, {name: values}, "ms", 1e3, **{name: each + rate(flops[n], median, matmul)})
    sizes = [n for n in calls if n >= begin]
    a, b, r2, worst, off = line(sizes, [float(np.median(seconds[n])) for n in sizes])
    note = f"a = {1e3 * a:.2f} ms, R^2 = {r2:.5f}, furthest from it {worst:,} by {100 * off:+.0f} %"
    if begin:
        note += f"; from {begin} on"
    name = "b of the line a + b n"
    value = 1e3 * b
    yield timing.Row(what, name, value, value, value, f"ms/{unit}", repeats, None, note)


def line(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float, float, int, float]:
    """The line of least relative squares: a, b, R^2, the size furthest from it, and its relative distance above it."""
    n, t = np.asarray(sizes, float), np.asarray(seconds)
    b, a = np.polyfit(n, t, 1, w=1 / t)
    fitted = a + b * n
    r2 = 1 - ((t - fitted) ** 2).sum() / ((t - t.mean()) ** 2).sum()
    off = t / fitted - 1
    worst = int(np.abs(off).argmax())
    return float(a), float(b), float(r2), sizes[worst], float(off[worst])


def add(parser) -> None:
    """The flags of this benchmark."""
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        metavar="PART",
        help=f"of {', '.join(PARTS)} (default: all; compiling them takes two minutes)",
    )


def main(argv=None):
    """The command."""
    return timing.command("growth", __doc__, measure, argv, add=add, repeats=5)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
