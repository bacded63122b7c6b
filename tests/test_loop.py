"""The loop: hooks at the right steps, a last one always, logs without gaps, and a stop at the first bad number."""

import dataclasses
import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cganjax import data
from cganjax.evaluation.metrics import training
from cganjax.training import loop


class S(NamedTuple):
    step: jax.Array
    x: jax.Array


class I(NamedTuple):  # noqa: E742
    loss: jax.Array


def counting(bad_loss_at=None, bad_state_at=None):
    def step(key, state, batch):
        loss = jnp.where(state.step + 1 == (bad_loss_at or -1), jnp.nan, jnp.float32(state.step))
        x = jnp.where(state.step + 1 == (bad_state_at or -1), jnp.inf, state.x + batch)
        return S(state.step + 1, x), I(loss)

    return jax.jit(step)


def run(step, until, state=None, every=3, log_every=4, **options):
    seen, logs = [], []
    state = loop.run(
        step,
        jax.random.key(0),
        state or S(jnp.int32(0), jnp.float32(0)),
        iter(jnp.ones(1000)),
        until=until,
        log_every=log_every,
        on_log=lambda at, m: logs.append((at, m["steps"], m["loss"])),
        hooks=[loop.Hook(every, lambda at, s: seen.append((at, float(s.x))))],
        **options,
    )
    return state, seen, logs


def test_hooks_run_on_their_beat_and_at_the_odd_end():
    state, seen, logs = run(counting(), 11)
    assert int(state.step) == 11
    assert seen == [(3, 3.0), (6, 6.0), (9, 9.0), (11, 11.0)]
    # A line at the latest every fourth step, and one before each hook: a checkpoint loses no line.
    assert logs == [(3, 3, 1.0), (4, 1, 3.0), (6, 2, 4.5), (8, 2, 6.5), (9, 1, 8.0), (11, 2, 9.5)]


def test_a_stop_is_obeyed_after_the_step_and_the_rest_continues():
    steps = iter([False, False, True])
    state, seen, logs = run(counting(), 10, should_stop=lambda: next(steps))
    assert (int(state.step), seen, logs) == (3, [(3, 3.0)], [(3, 3, 1.0)])
    state, seen, logs = run(counting(), 10, state=state)
    assert int(state.step) == 10 and seen[-1] == (10, 10.0)
    assert [(at, n) for at, n, _ in logs] == [(4, 1), (6, 2), (8, 2), (9, 1), (10, 1)]


@pytest.mark.parametrize("at", [1, 2, 5, 10])
def test_a_bad_loss_is_reported_with_its_step(at):
    with pytest.raises(loop.Diverged, match=f"loss is not finite after step {at}") as error:
        run(counting(bad_loss_at=at), 10)
    assert error.value.step == at


def test_no_hook_sees_a_state_that_is_not_finite():
    seen = []
    with pytest.raises(loop.Diverged, match="a parameter is not finite after step 6"):
        loop.run(
            counting(bad_state_at=5),
            jax.random.key(0),
            S(jnp.int32(0), jnp.float32(0)),
            iter(jnp.ones(100)),
            until=10,
            log_every=100,
            on_log=lambda *a: None,
            hooks=[loop.Hook(3, lambda at, s: seen.append(at))],
        )
    assert seen == [3]


def test_progress_is_told_each_step():
    told = []
    run(counting(), 5, on_step=told.append)
    assert told == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("start", [0, 2])
def test_blocks_change_neither_state_nor_log(start):
    step = counting()
    begin = S(jnp.int32(start), jnp.float32(0))
    calls = []

    def blocked(key, state, batches):
        calls.append((int(state.step), len(batches)))
        return jax.jit(loop.scanned(step))(key, state, batches)

    plain = run(step, 29, begin, every=9, log_every=12)
    together = run(step, 29, begin, every=9, log_every=12, block=loop.Block(4, blocked))
    assert int(together[0].step) == 29 and together[1:] == plain[1:]
    # From multiples of 4 alone, and never over a multiple of 9 or 12.
    assert calls == [(s, 4) for s in (0, 4, 12, 20) if s >= start]


def test_a_log_waits_until_the_next_step_is_handed_out_but_not_past_a_hook():
    events, step = [], counting()

    def told(key, state, batch):
        events.append(f"step {int(state.step) + 1}")
        return step(key, state, batch)

    loop.run(
        told,
        jax.random.key(0),
        S(jnp.int32(0), jnp.float32(0)),
        iter(jnp.ones(100)),
        until=7,
        log_every=2,
        on_log=lambda at, means: events.append(f"log {at}"),
        hooks=[loop.Hook(6, lambda at, state: events.append(f"hook {at}"))],
    )
    assert events == [
        "step 1",
        "step 2",
        "step 3",
        "log 2",
        "step 4",
        "step 5",
        "log 4",
        "step 6",
        "log 6",
        "hook 6",
        "step 7",
        "log 7",
        "hook 7",
    ]


def test_a_bad_loss_inside_a_block_is_reported_with_its_step():
    step = counting(bad_loss_at=7)
    block = loop.Block(4, jax.jit(loop.scanned(step)))
    with pytest.raises(loop.Diverged, match="after step 7"):
        run(step, 20, every=20, log_every=20, block=block)


def test_a_stop_is_obeyed_after_the_block():
    step = counting()
    block = loop.Block(4, jax.jit(loop.scanned(step)))
    state, seen, _ = run(step, 20, every=20, log_every=20, block=block, should_stop=lambda: True)
    assert int(state.step) == 4 and seen == [(4, 4.0)]


def test_the_loop_moves_no_bit_of_the_classifiers_that_metrics_train():
    """The figures are those of commit 20882e9, where metrics had a loop of their own; 40 steps end within an epoch."""
    import golden

    recipe = dataclasses.replace(
        training.RECIPE,
        steps=40,
        epoch_steps=15,
        batch_size=32,
        classifier={"width_14": 4, "width_7": 4, "hidden": 8},
    )
    (images, labels), (test, truth) = [data.load("digits", split)[2:4] for split in ("train", "test")]
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam mixes integers with floats
        answers = training.fit(images, labels, 10, seed=0, stream="cas", recipe=recipe)(test)
    assert abs(np.mean(answers == truth) - 0.3535) < 0.02
    if golden.environment() == "jax 0.10.2, x86_64, a046ce7f":
        assert zlib.crc32(answers.astype(np.int64).tobytes()) == 468762967
