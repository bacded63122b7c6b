"""More than one core, or device: pieces of work on threads, and one step on several devices.

XLA's CPU backend runs a convolution of few channels on one core, whatever there is. Two pieces at once, or the halves
of one batch on two CPU devices, fill both.
"""

import contextlib
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Item, Result = TypeVar("Item"), TypeVar("Result")
_NAME = "cganjax-core"
_PER_THREAD = {
    "jax_debug_infs": jax.debug_infs,
    "jax_debug_nans": jax.debug_nans,
    "jax_default_device": jax.default_device,
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_disable_jit": jax.disable_jit,
    "jax_enable_x64": jax.enable_x64,
    "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion,
    "jax_numpy_rank_promotion": jax.numpy_rank_promotion,
    "jax_threefry_partitionable": jax.threefry_partitionable,
}
SHARE = 32  # images of a batch for each device, at least: below, a step is mostly what it costs to begin one


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_turn(call: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map`, but on a CPU on a thread a core, a few items ahead of whoever takes the results; in order.

    A jitted function that two threads call for the first time is compiled by one, and the other waits. What JAX keeps
    for each thread of `_PER_THREAD` holds for these too. On accelerators it is `map`: there a call returns before its
    work is done.
    """
    threads = cores() if jax.default_backend() == "cpu" else 1
    # Within one of these threads no other may be waited for: all could be waiting.
    if threads == 1 or threading.current_thread().name.startswith(_NAME):
        yield from map(call, items)
        return
    pool, waiting, call = _pool(threads), deque(), _as_here(call)
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also where the taker leaves, or a call failed
        for future in waiting:
            future.cancel()


def _as_here(call: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """`call` until its result is there, under the settings of the thread that asks for it now."""
    settings = {name: getattr(jax.config, name) for name in _PER_THREAD}

    def there(item: Item) -> Result:
        with contextlib.ExitStack() as stack:
            for name, value in settings.items():
                if getattr(jax.config, name) != value:
                    stack.enter_context(_PER_THREAD[name](value))
            return jax.block_until_ready(call(item))

    return there


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Kept: a new thread would begin with memory of its own, page by page."""
    return ThreadPoolExecutor(threads, thread_name_prefix=_NAME)


def devices_for(batch_size: int, limit: int) -> int:
    """The largest number of devices, at most `limit`, that have equal shares of a batch and at least SHARE images."""
    return max(d for d in range(1, limit + 1) if d == 1 or (batch_size % d == 0 and batch_size // d >= SHARE))


class Spread:
    """A step over several devices: each has its share of the batch, and all of the state.

    The step stays the one pure function; gradients are summed where its means need it, which is XLA's work. Another
    number of devices adds up in another order, so its bits are others.
    """

    def __init__(self, count: int):
        self._mesh = Mesh(np.array(jax.devices()[:count]), ("batch",))
        self._whole = NamedSharding(self._mesh, PartitionSpec())

    def jit(self, step: Callable, leading: int = 0) -> Callable:
        """(key, state, batch) -> (state, info), jitted, of a batch whose axis `leading` is that of its images."""
        shares = NamedSharding(self._mesh, PartitionSpec(*[None] * leading, "batch"))
        jitted = jax.jit(step, donate_argnums=1, out_shardings=self._whole)

        def call(key: jax.Array, state: Any, batch: Any):
            return jitted(key, state, jax.device_put(batch, shares))

        return call

    def place(self, state: Any) -> Any:
        """A state on every device."""
        return jax.device_put(state, self._whole)

    @staticmethod
    def one(state: Any) -> Any:
        """The first device's copy, which is the same as every other."""
        return jax.tree.map(lambda x: x.addressable_data(0), state)
