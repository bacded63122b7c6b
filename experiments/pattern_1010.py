"""The smallest GAN there is, whole: `python -m experiments.pattern_1010`.

First D alone, which learns to tell 1010-like rows from uniform noise; then the GAN, 10,000 rounds; then the same GAN
from 1,000 seeds in one call. Writes into --out: strip.png (G's output every 1,000 rounds), curves.png, seeds.png (the
outputs of the first 100 seeds) and result.json.
"""

import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cganjax import cli, data, files, models, recipes, report, rng
from cganjax.data import known
from cganjax.pixels import signed_to_unit, unit_to_signed
from cganjax.training import algorithms, losses
from cganjax.training.config import TargetGAN, override
from cganjax.types import Batch, Weights

ROWS = 10  # G's output is looked at so often in a run


class Outcome(NamedTuple):
    """What one seed came to."""

    outputs: jax.Array  # float32 [ROWS + 1, 4] in [0, 1]: G's, before the first round and every tenth of the run
    loss_discriminator: jax.Array  # float32 [rounds], mean of its loss on a real row and on a generated one
    loss_generator: jax.Array  # float32 [rounds]


def succeeds(output: jax.Array) -> jax.Array:
    """Whether rows [..., 4] are 1010-like: pixels 0 and 2 in [0.7, 1], pixels 1 and 3 in [0, 0.3]."""
    bright, dark = output[..., 0::2], output[..., 1::2]
    return jnp.all(bright >= 0.7, axis=-1) & jnp.all(dark <= 0.3, axis=-1)


def play(key: jax.Array, config: TargetGAN) -> Outcome:
    """The whole experiment as one pure function of a key; `vmap` it over keys. A round is a step of `train`."""
    networks = models.build(config, known.KNOWN[config.dataset])
    trainer = algorithms.build(config, networks)

    def output(state) -> jax.Array:
        return signed_to_unit(networks.generator.apply(state.generator, jnp.zeros((1, networks.latent_size)))).ravel()

    def round_(state, _):
        real = data.bright_dark(jax.random.fold_in(rng.stream(key, "data"), state.step), config.batch_size)
        state, info = trainer.step(key, state, Batch(real, jnp.zeros(config.batch_size, jnp.int32)))
        return state, (info.loss_discriminator, info.loss_generator)

    def tenth(state, _):
        state, curves = jax.lax.scan(round_, state, length=config.steps // ROWS)
        return state, (output(state), *curves)

    first = trainer.init(key)
    _, (outputs, d_loss, g_loss) = jax.lax.scan(tenth, first, length=ROWS)
    return Outcome(jnp.concatenate([output(first)[None], outputs]), d_loss.ravel(), g_loss.ravel())


def discriminator_alone(key: jax.Array, config: TargetGAN) -> tuple[jax.Array, jax.Array]:
    """D against uniform noise for as many rounds: its mean answers [] to 1,000 fresh real rows and noise rows."""
    discriminator = models.build(config, known.KNOWN[config.dataset]).discriminator
    optimizer = optax.sgd(config.learning_rate)
    params = discriminator.init(rng.stream(key, "init")).params

    def answer(params, rows):
        return discriminator.apply(Weights(params, {}), unit_to_signed(rows))

    def noise(key, n):
        return jax.random.uniform(key, (n, 1, 4, 1))

    def squared_error(params, rows, goal):
        return losses.sigmoid_squared_error(answer(params, rows), jnp.full((len(rows), 1), goal)).mean()

    def round_(carry, i):
        for stream, draw, goal in (("real", data.bright_dark, 1.0), ("noise", noise, 0.0)):
            rows = draw(jax.random.fold_in(rng.stream(key, stream), i), config.batch_size)
            params, state = carry
            updates, state = optimizer.update(jax.grad(squared_error)(params, rows, goal), state, params)
            carry = optax.apply_updates(params, updates), state
        return carry, None

    (params, _), _ = jax.lax.scan(round_, (params, optimizer.init(params)), jnp.arange(config.steps))
    fresh = rng.stream(key, "fresh")
    return tuple(jax.nn.sigmoid(answer(params, draw(fresh, 1000))).mean() for draw in (data.bright_dark, noise))


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.pattern_1010", description=__doc__)
    p.add_argument("--seed", type=int, default=0, help="of the single run, and the first of the many (default: 0)")
    p.add_argument("--seeds", type=int, default=1000, metavar="N", help="runs in one call (default: 1000)")
    p.add_argument("--steps", type=int, help="rounds, a multiple of 10 (default: the recipe's, 10000)")
    p.add_argument(
        "--out",
        type=cli.path,
        default=Path("runs/pattern_1010"),
        help="a folder (default: runs/pattern_1010)",
    )
    cli.add_overwrite(p)
    cli.add_backend(p)
    return p


def main(argv=None) -> int:
    """Run the three experiments and say what came of them."""
    args = parser().parse_args(argv)
    steps_asked = [] if args.steps is None else [f"steps={args.steps}"]
    config = override(recipes.load("pattern_1010"), [*steps_asked, f"seed={args.seed}"])
    if config.steps % ROWS:
        raise cli.UserError(f"--steps is {config.steps}: give a multiple of {ROWS}")
    if args.seeds < 1:
        raise cli.UserError(f"--seeds is {args.seeds}: give at least 1")
    cli.choose_backend(args.backend)
    names = ("strip.png", "seeds.png", "curves.png", "result.json")
    strip, seeds, curves, summary = (files.new_file(args.out / name, args.overwrite) for name in names)

    real, noise = jax.jit(lambda key: discriminator_alone(key, config))(rng.root(args.seed))
    print(f"D alone, after {config.steps} rounds: answers {real:.3f} to real rows, {noise:.3f} to noise")

    began = time.perf_counter()
    one = jax.block_until_ready(jax.jit(lambda key: play(key, config))(rng.root(args.seed)))
    seconds = time.perf_counter() - began
    last, settled = np.asarray(one.outputs[-1]), float(one.loss_discriminator[-config.steps // 10 :].mean())
    made = [round(float(v), 3) for v in last]
    print(
        f"GAN, seed {args.seed}, {config.steps} rounds in {seconds:.1f} s: G makes {made} "
        f"({'1010' if succeeds(last) else 'not 1010'}), D's loss is {settled:.4f} over the last tenth"
    )

    began = time.perf_counter()
    keys = jnp.stack([rng.root(args.seed + i) for i in range(args.seeds)])
    many = jax.jit(jax.vmap(lambda key: play(key, config).outputs))(keys)
    fraction = float(succeeds(many[:, -1]).mean())
    seconds_many = time.perf_counter() - began
    print(f"GAN, {args.seeds} seeds in one call, {seconds_many:.1f} s: {100 * fraction:.1f} % end 1010-like")

    result = {
        "steps": config.steps,
        "seed": args.seed,
        "seeds": args.seeds,
        "share_1010": fraction,
        "outputs": np.asarray(one.outputs).tolist(),
        "loss_discriminator_last_tenth": settled,
        "discriminator_alone": {"real": float(real), "noise": float(noise)},
        "seconds": {"one": round(seconds, 2), "many": round(seconds_many, 2)},
    }
    files.write_json(summary, result)
    report.save_png(strip, report.grid(np.asarray(one.outputs).reshape(-1, 1, 4, 1), 1, gap=1), scale=24)
    report.save_png(seeds, report.grid(np.asarray(many[:100, -1]).reshape(-1, 1, 4, 1), 10, gap=1), scale=12)
    rows = [
        {"step": int(i), "loss_discriminator": float(d), "loss_generator": float(g)}
        for i, d, g in zip(range(1, config.steps + 1), one.loss_discriminator, one.loss_generator, strict=True)
    ]
    report.save_curves(curves, rows[:: max(1, config.steps // 500)], f"pattern_1010, seed {args.seed}")
    print(f"{strip}\n{seeds}\n{curves}\n{summary}")
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
