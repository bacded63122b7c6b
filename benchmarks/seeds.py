"""Many seeds: one after the other, against all of them in one program by `jax.vmap`.

The ratio is the time of the seeds one after the other over that of the one program. `pattern_1010` is so small that a
seed alone leaves the machine idle; `digits` has convolutions that fill a CPU with one seed.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from cganjax import cli, data, models, recipes, rng
from cganjax.training import algorithms, loop


class Subject(NamedTuple):
    """A recipe, and how much of it is timed."""

    recipe: str
    seeds: int
    calls: int  # of the step, or of a block of steps
    block: int  # steps in one call: loops are slow for convolutions on a CPU, and best for everything else


SUBJECTS = (Subject("pattern_1010", 100, 10, 100), Subject("digits", 4, 2, 1))


def sides(subject: Subject):
    """Two functions that train all seeds, the names of both; each returns G's last loss of every seed."""
    config = recipes.load(subject.recipe)
    dataset = data.load(config.dataset, config.split)
    trainer = algorithms.build(config, models.build(config, dataset.spec))
    batches = data.batches(dataset, rng.stream(rng.root(0), "data"), config.batch_size)
    given = jax.tree.map(lambda *x: jnp.stack(x), *[next(batches) for _ in range(subject.block)])
    step = loop.scanned(trainer.step)
    if subject.block == 1:
        step, given = trainer.step, jax.tree.map(lambda x: x[0], given)
    keys = [rng.root(seed) for seed in range(subject.seeds)]
    init = jax.jit(trainer.init)
    states = [init(key) for key in keys]
    all_keys, all_states = jnp.stack(keys), jax.tree.map(lambda *x: jnp.stack(x), *states)
    of_one, of_all = jax.jit(step), jax.jit(jax.vmap(step, in_axes=(0, 0, None)))

    def train(step, key, state):
        for _ in range(subject.calls):
            state, info = step(key, state, given)
        return np.asarray(info.loss_generator)

    def one_after_another():
        return np.array([train(of_one, *of_seed).ravel()[-1] for of_seed in zip(keys, states, strict=True)])

    def in_one_program():
        return train(of_all, all_keys, all_states).reshape(subject.seeds, -1)[:, -1]

    return {timing.OURS: in_one_program, "one after another": one_after_another}


def measure(args) -> Iterator[timing.Row]:
    """The rows of each recipe."""
    cli.choose_backend(args.backend)
    for subject in SUBJECTS:
        subject = subject._replace(seeds=args.seeds or subject.seeds)
        calls = sides(subject)
        what = f"{subject.seeds} seeds of {subject.recipe}, {subject.calls * subject.block} steps each"
        timing.same(what, *(call() for call in calls.values()), tolerance=1e-3)
        yield from timing.rows(what, timing.in_turn(calls, args.repeats), "s", cganjax="jax.vmap, one program")


def flags(parser) -> None:
    """The flags of this benchmark alone."""
    cli.add_backend(parser)
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds of each recipe (default: 100 and 4)")


def main(argv=None) -> int:
    """Measure, print, and write the record if it was asked for."""
    return timing.command("seeds", __doc__, measure, argv, add=flags, repeats=3)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
