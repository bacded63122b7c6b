"""The training loop: runs a jitted step up to a given step and calls hooks. It knows no disk, plot or device name.

Every training in the project goes through `run`: `session.train`, and the classifiers that metrics train.
"""

import collections
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cganjax.types import Batch

# Calls handed to the device ahead of the host: enough to keep it busy, few enough to obey a stop soon.
IN_FLIGHT = 4


class Diverged(Exception):
    """A loss or a parameter is no longer finite; `step` is the update after which it was seen, `what` its name."""

    def __init__(self, step: int, what: str, advice: str = ""):
        super().__init__(f"{what} is not finite after step {step}{advice}")
        self.step, self.what = step, what


class Hook(NamedTuple):
    """`call(step, state)` runs after every `every` steps and when the loop ends; the state is known to be finite."""

    every: int
    call: Callable[[int, Any], None]


class Block(NamedTuple):
    """Several steps in one call: like the step, but batches and infos have a leading axis of `size`."""

    size: int
    call: Callable[[jax.Array, Any, Batch], tuple[Any, Any]]


class Sums(NamedTuple):
    """The sums of info's fields over the steps since the last line of the log."""

    steps: int
    sums: Mapping[str, float]


def scanned(step: Callable[[jax.Array, Any, Batch], tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """The same step over batches with a leading axis, as one program; to be jitted.

    This is for accelerators, where a call costs the host more than a small step costs the device. XLA's CPU backend
    loses its fast convolutions inside a loop.
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
    total: int | None = None,
    carried: Sums | None = None,
    block: Block | None = None,
    on_log: Callable[[int, dict[str, float]], None] = lambda done, means: None,
    on_cut: Callable[[Sums], None] = lambda sums: None,
    on_step: Callable[[int], None] = lambda done: None,
    hooks: Sequence[Hook] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Any:
    """Advance `state` to step `until`, or until `should_stop` returns True.

    Args:
      step: (key, state, batch) -> (state, info), already jitted; it may take over the state's memory.
      key: the run's key, the same at each step.
      state: has `.step`, the number of updates done.
      batches: the batches from the state's place in the data onwards.
      until: the number of updates after which to end.
      total: the length of the whole run, of which `until` may be a part; None: `until`.
      carried: what `on_cut` received when the state was made, if anything: the next line includes these steps.
      block: is used instead of `step` from each multiple of its size on, if nothing is due within it. Which steps run
        together follows from their number, so a resumed run forms the same blocks, unless it was stopped inside one.
      log_every: the number of steps that one call of `on_log` summarises. It is fewer if a hook or the end comes
        first, so that a run which is resumed from a checkpoint has lost no line.
      on_log: receives (step, means), the means of info's fields over the steps since the last call and `steps`, their
        number. If no hook is due it is called after the next step was handed to the device, which therefore never
        waits for the host.
      on_cut: receives the sums of the last line, just before `on_log` receives its means, if the run ends at a step at
        which an unbroken one would write no line.
      on_step: receives the number of updates handed out so far, for a progress bar.
      hooks: see `Hook`; they run after the log, in order.
      should_stop: is asked after each step or block.

    Returns:
      The last state.

    Raises:
      Diverged: an info or the state is not finite; no hook has seen that state.
    """
    done, log, in_flight = int(state.step), _Log(on_log, carried), collections.deque()
    total = until if total is None else total
    while done < until:
        quiet = _steps_until_due(done, until, log_every, hooks)
        if block and done % block.size == 0 and block.size <= quiet:
            state, info = block.call(key, state, _stack([next(batches) for _ in range(block.size)]))
            done += block.size
        else:
            state, info = step(key, state, next(batches))
            done += 1
        log.add(info)
        in_flight.append(info)
        if len(in_flight) > IN_FLIGHT:
            jax.block_until_ready(in_flight.popleft())
        on_step(done)
        log.write_postponed()

        last = done == until or should_stop()
        due = [hook for hook in hooks if last or done % hook.every == 0]
        if last or due:
            cut = done != total and all(done % every for every in (log_every, *(hook.every for hook in hooks)))
            log.write(done, on_cut if cut else None)
            _call(due, done, state)
        elif done % log_every == 0:
            log.postpone(done)
        if last:
            break
    return state


def _steps_until_due(done: int, until: int, log_every: int, hooks: Sequence[Hook]) -> int:
    """The number of steps until a log line, a hook or the end is due."""
    return min(until - done, *(every - done % every for every in (log_every, *(hook.every for hook in hooks))))


def _call(hooks: Sequence[Hook], done: int, state: Any) -> None:
    """Call the hooks, unless the state is not finite."""
    if hooks and not _all_finite(state):
        raise Diverged(done, "a parameter")
    for hook in hooks:
        hook.call(done, state)


class _Log:
    """Infos since the last line, and the line that waits until the device has its next work."""

    def __init__(self, write: Callable[[int, dict[str, float]], None], carried: Sums | None):
        self._write, self._carried, self._infos, self._postponed = write, carried or Sums(0, {}), [], None

    def add(self, info: Any) -> None:
        """Collect the info of a step or of a block."""
        self._infos.append(info)

    def write(self, done: int, on_cut: Callable[[Sums], None] | None) -> None:
        """Write the means of the infos now, after telling their sums. Raises Diverged if an info is not finite."""
        self.postpone(done)
        self.write_postponed(on_cut)

    def postpone(self, done: int) -> None:
        """Leave the line to `write_postponed`."""
        self._postponed, self._infos = (done, self._infos), []

    def write_postponed(self, on_cut: Callable[[Sums], None] | None = None) -> None:
        """Write the line that waits, if any."""
        if not self._postponed:
            return
        (done, infos), self._postponed = self._postponed, None
        steps, sums = _added(self._carried, _finite(done, _each(jax.device_get(infos))))
        self._carried = Sums(0, {})
        if on_cut:
            on_cut(Sums(steps, sums))
        self._write(done, {"steps": steps} | {name: total / steps for name, total in sums.items()})


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


def _added(to: Sums, infos: list) -> Sums:
    """One addition after the other, so that a sum which was carried over has the bits of an unbroken one."""
    sums = {name: to.sums.get(name, 0.0) for name in infos[0]._fields}
    for info in infos:
        sums = {name: total + float(getattr(info, name)) for name, total in sums.items()}
    return Sums(to.steps + len(infos), sums)


@jax.jit
def _all_finite(state: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
