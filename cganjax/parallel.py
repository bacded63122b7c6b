"""Work in pieces: many rows in chunks, chunks on several cores, and one step on several devices.

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
import jax.numpy as jnp
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


def chunked(function: Callable[[Any], Any], arrays: Any, size: int, *, pad: bool = False, threads: bool = False) -> Any:
    """A function of many rows, applied to `size` rows at a time; under a transformation of JAX all at once.

    Args:
      function: a tree of arrays [n, ...] -> a tree of arrays [n, ...]; it sees each row by itself.
      arrays: a tree of arrays [N, ...], such as images, or a tuple of images and labels.
      size: rows per call, at least 1.
      pad: repeat the last row until the last chunk has `size` rows, too, so that one compiled program serves all of
        them. The results of the repeated rows are dropped. Without it the last chunk is shorter.
      threads: on a CPU, work on as many chunks at a time as there are cores (see `in_turn`), if the function allows it.

    Returns:
      The function's results, put together as NumPy arrays [N, ...]. If one call without padding was enough, what it
      returned.

    >>> chunked(lambda x: 2 * x, np.arange(5), size=2)
    array([0, 2, 4, 6, 8])
    """
    leaves = jax.tree.leaves(arrays)
    n = len(leaves[0])
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves) or n == 0 or n == size or (n < size and not pad):
        return function(arrays)

    def of_chunk(start: int) -> Any:
        rows = np.minimum(np.arange(start, start + size), n - 1) if pad else slice(start, start + size)
        return function(jax.tree.map(lambda x: x[rows], arrays))

    starts = range(0, n, size)
    found = in_turn(of_chunk, starts) if threads else map(of_chunk, starts)
    fetched = [
        jax.tree.map(lambda x, rest=n - start: np.asarray(x)[:rest], part)
        for start, part in zip(starts, found, strict=True)
    ]
    return jax.tree.map(lambda *parts: np.concatenate(parts), *fetched)


def joined(chunk: Callable[[int], jax.Array], count: int, size: int) -> jax.Array:
    """One array on the device from chunks of it: [count, ...].

    The array is written in place, so that no more than it and a few chunks are held at a time.

    Args:
      chunk: the first row -> rows first..first+size-1: an array [size, ...]. Chunks are made by several threads.
      count: rows in all, at least `size`. The last chunk begins early, so that it has `size` rows as well.
      size: rows of a chunk.
    """
    whole, starts = None, (*range(0, count - size, size), count - size)
    for start, made in zip(starts, in_turn(chunk, starts), strict=True):
        if whole is None:
            whole = jnp.zeros((count, *made.shape[1:]), made.dtype)
        whole = _write(whole, made, np.int32(start))
    return whole


@functools.partial(jax.jit, donate_argnums=0)
def _write(images, piece, start):
    return jax.lax.dynamic_update_slice_in_dim(images, piece, start, axis=0)


def devices_for(batch_size: int, limit: int) -> int:
    """The largest number of devices, at most `limit`, that have equal shares of a batch and at least SHARE images."""
    return max(d for d in range(1, limit + 1) if d == 1 or (batch_size % d == 0 and batch_size // d >= SHARE))


class Spread:
    """A step over several devices: each has a part of the batch, and the whole state.

    The step stays the one pure function of the whole batch, its means and statistics too; the sums over devices that
    they need are XLA's work. Another number of devices adds up in another order, so its last bits are others.

    The devices may be those of several processes (see `cganjax.distributed`). Then every process has the same batch
    and the same state at first, and its devices take their parts of them.
    """

    def __init__(self, count: int):
        """Take so many devices, equally many of each process."""
        each = count // jax.process_count()
        mine: dict[int, list[jax.Device]] = {}
        for device in jax.devices():
            mine.setdefault(device.process_index, []).append(device)
        self._mesh = Mesh(np.array([device for some in mine.values() for device in some[:each]]), ("batch",))
        self._whole = NamedSharding(self._mesh, PartitionSpec())

    def jit(self, step: Callable, leading: int = 0) -> Callable:
        """(key, state, batch) -> (state, info), jitted, of a batch whose axis `leading` is that of its images."""
        shares = NamedSharding(self._mesh, PartitionSpec(*[None] * leading, "batch"))
        jitted = jax.jit(step, donate_argnums=1, out_shardings=self._whole)

        def call(key: jax.Array, state: Any, batch: Any):
            return jitted(key, state, _put(batch, shares))

        return call

    def place(self, state: Any) -> Any:
        """A state on every device."""
        return _put(state, self._whole)

    @staticmethod
    def one(state: Any) -> Any:
        """The first device's copy, which is the same as every other."""
        return jax.tree.map(lambda x: x.addressable_data(0), state)


def _put(tree: Any, sharding: NamedSharding) -> Any:
    """Arrays that this process has whole, on the devices of a sharding; another process does the same for its own."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def of_all(x: jax.Array) -> jax.Array:
        if x.sharding == sharding:
            return x
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(of_all, tree)
