"""Runs a jitted step up to a given step and calls hooks; it knows no disk, no plot and no device name."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cganjax.types import Batch

# Calls handed to the device ahead of the host: enough to keep it busy, few enough to obey a stop soon.
IN_FLIGHT = 4


class Diverged(Exception):
    """A loss or a parameter is no longer finite; `step` is the update after which it was seen."""

    def __init__(self, step: int, what: str):
        super().__init__(f"{what} is not finite after step {step}")
        self.step = step


class Hook(NamedTuple):
    """`call(step, state)` after every `every` steps, and when the loop ends; the state is known to be finite."""

    every: int
    call: Callable[[int, Any], None]


class Block(NamedTuple):
    """Several steps in one call: `call` as the step, of batches with a leading axis of `size`, and infos likewise."""

    size: int
    call: Callable[[jax.Array, Any, Batch], tuple[Any, Any]]


def scanned(step: Callable[[jax.Array, Any, Batch], tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """The same step over batches with a leading axis, as one program; to be jitted.

    For accelerators, where a call costs the host more than a small step costs the device. XLA's CPU backend loses its
    fast convolutions inside of a loop.
    """

    def block(key: jax.Array, state: Any, batches: Batch) -> tuple[Any, Any]:
        return jax.lax.scan(lambda state, batch: step(key, state, batch), state, batches)

    return block


def run(
    step: Callable[[jax.Array, Any, Batch], tuple[Any, Any]],
    key: jax.Array,
    state: Any,
    batches: Iterator[Batch],
    *,
    until: int,
    log_every: int,
    block: Block | None = None,
    on_log: Callable[[int, dict[str, float]], None],
    on_step: Callable[[int], None] = lambda done: None,
    hooks: Sequence[Hook] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Any:
    """Advance `state` to step `until`, or to where `should_stop` says so.

    Args:
      step: (key, state, batch) -> (state, info), already jitted; it may take over the state's memory.
      key: the run's key, the same at each step.
      state: has `.step`, the number of updates done.
      batches: from the state's place in the data onwards.
      until: the number of updates after which to end.
      block: used in place of `step` from each multiple of its size on, where nothing is due within: which steps run
        together follows from their number, also after a resumption, as long as no end within a block came between.
      log_every: steps that one call of `on_log` summarises; fewer where a hook or the end comes first, so that a run
        which is resumed from a checkpoint has lost no line.
      on_log: receives (step, means of info's fields over the steps since the last call, and `steps`, their number);
        between hooks not before the device has its next work, so that it never waits for the host.
      on_step: receives the number of updates handed out so far, for a progress bar.
      hooks: see `Hook`; they run after the log, in order.
      should_stop: asked after each step or block.

    Returns:
      The last state.

    Raises:
      Diverged: when an info or the state is not finite, before any hook sees that state.
    """
    done, infos, late, flying = int(state.step), [], [], []
    beats = (log_every, *(hook.every for hook in hooks))
    while done < until:
        quiet = min(until - done, *(every - done % every for every in beats))  # steps until something is due
        if block and done % block.size == 0 and block.size <= quiet:
            state, info = block.call(key, state, _stack([next(batches) for _ in range(block.size)]))
            done += block.size
        else:
            state, info = step(key, state, next(batches))
            done += 1
        infos.append(info)
        flying.append(info)
        if len(flying) > IN_FLIGHT:
            jax.block_until_ready(flying.pop(0))
        on_step(done)
        for at, those in late:
            on_log(at, _means(_finite(at, _each(jax.device_get(those)))))
        late = []
        last = done == until or should_stop()
        due = [hook for hook in hooks if last or done % hook.every == 0]
        if done % log_every == 0 and not (last or due):
            late, infos = [(done, infos)], []
        elif last or due:
            on_log(done, _means(_finite(done, _each(jax.device_get(infos)))))
            infos = []
            if due and not _all_finite(state):
                raise Diverged(done, "a parameter")
            for hook in due:
                hook.call(done, state)
        if last:  # also where a stop was wished before `until`
            break
    return state


@jax.jit
def _stack(batches: list[Batch]) -> Batch:
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *batches)


def _each(infos: list) -> list:
    """Infos of steps and of blocks, as infos of steps."""
    single = []
    for info in infos:
        blocked = info[0].ndim > 0
        single += [type(info)(*values) for values in zip(*info, strict=True)] if blocked else [info]
    return single


def _finite(done: int, infos: list) -> list:
    first = done - len(infos) + 1
    for i, info in enumerate(infos):
        for name, value in info._asdict().items():
            if not math.isfinite(value):
                raise Diverged(first + i, name)
    return infos


def _means(infos: list) -> dict[str, float]:
    names = infos[0]._fields
    return {"steps": len(infos)} | {n: float(sum(float(getattr(i, n)) for i in infos) / len(infos)) for n in names}


@jax.jit
def _all_finite(state: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
