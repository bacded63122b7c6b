"""Work in pieces: many rows in chunks, chunks on several cores, and one step on several devices.

XLA's CPU backend runs a convolution of few channels on one core, however many there are. Two pieces at once, or the
halves of one batch on two CPU devices, use two cores.
"""

import contextlib
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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
_ALIGNMENT = 64  # bytes; what XLA expects of an array
SHARE = 32  # images of a batch for each device, at least: with fewer, starting a step takes longer than its work


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_turn(call: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map`, but on a CPU with one thread per core, a few items ahead of whoever takes the results; in order.

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


def chunked(
    function: Callable[[Any], Any],
    arrays: Any,
    size: int | Sequence[int],
    *,
    pad: bool = False,
    threads: bool = False,
    on_rows: Callable[[int], None] = lambda done: None,
) -> Any:
    """A function of many rows, applied to `size` rows at a time; under a transformation of JAX all at once.

    Args:
      function: a tree of arrays [n, ...] -> a tree of arrays [n, ...]; it sees each row by itself.
      arrays: a tree of arrays [N, ...], such as images, or a tuple of images and labels.
      size: rows per call, at least 1; or several sizes, smallest first, if the last chunk may have one of the others.
      pad: repeat the last row until the last chunk has the next size, too, so that one compiled program for each size
        serves any N. The results of the repeated rows are dropped. Without it the last chunk is shorter.
      threads: the function may work on several chunks at a time: on a CPU on as many as there are cores (see
        `in_turn`), and with several accelerators and `pad` on one chunk per device (see `row_devices`).
      on_rows: called with the number of rows done, after each chunk of several.

    Returns:
      The function's results, put together as NumPy arrays [N, ...]. If one call without padding was enough, what it
      returned.

    >>> chunked(lambda x: 2 * x, np.arange(5), size=2)
    array([0, 2, 4, 6, 8])
    """
    if is_traced(arrays):
        return function(arrays)
    sizes = (size,) if isinstance(size, int) else tuple(size)
    alone, n = sizes[-1], len(jax.tree.leaves(arrays)[0])
    devices = row_devices() if pad and threads else ()
    if len(devices) > 1:  # each device works on rows of a size; the smallest size is left to one
        alone, sizes = sizes[0], (sizes[0], *(len(devices) * s for s in sizes))
        over = NamedSharding(Mesh(np.array(devices), ("rows",)), PartitionSpec("rows"))
    if n == 0 or (n in sizes and n <= alone) or (n < sizes[-1] and not pad):
        return function(arrays)
    if pad:  # a slice of an array on a device would be compiled for each N
        arrays = jax.tree.map(_on_host, arrays)

    def of_chunk(start: int) -> Any:
        end = start + next((s for s in sizes if s >= n - start), sizes[-1])
        rows = slice(start, end) if end <= n or not pad else np.minimum(np.arange(start, end), n - 1)
        chunk = jax.tree.map(lambda x: x[rows], arrays)
        return function(jax.device_put(chunk, over) if end - start > alone else chunk)

    starts, whole = range(0, n, sizes[-1]), None
    parts = in_turn(of_chunk, starts) if threads and len(starts) > 1 else map(of_chunk, starts)
    for start, part in zip(starts, parts, strict=True):
        if is_traced(part):
            return function(arrays)  # arrays that are constants of a transformation
        if whole is None:
            whole = jax.tree.map(lambda x: _empty((n, *x.shape[1:]), x.dtype), part)
        jax.tree.map(functools.partial(_write, start), whole, part)
        on_rows(min(start + sizes[-1], n))
    return whole


def _write(start: int, whole: np.ndarray, part: Any) -> None:
    rest = whole[start : start + len(part)]
    rest[:] = np.asarray(part)[: len(rest)]


def is_traced(tree: Any) -> bool:
    """Whether a transformation of JAX holds the place of an array of the tree."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def row_devices() -> tuple[jax.Device, ...]:
    """The devices that rows are spread over: this process's accelerators, unless `jax.default_device` chooses one.

    CPU devices share the cores, which threads keep busy already.
    """
    if jax.default_backend() == "cpu" or jax.config.jax_default_device is not None:
        return ()
    return tuple(jax.local_devices())


def _on_host(x: Any) -> Any:
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x)


def _empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array to be filled, aligned so that `jax.device_put` takes it over on a CPU instead of copying it."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    room = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -room.ctypes.data % _ALIGNMENT
    return room[begin : begin + size].view(dtype).reshape(shape)


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
