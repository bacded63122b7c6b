"""Several processes, often on several hosts, that train one run together: JAX's own engine, `jax.distributed`.

Each process runs the same program on the same data, and computes its part of each batch. The first one, process 0, is
the only one that writes logs, metrics, pictures and the manifest. Here is what they have to say to one another: how
they meet, when they stop, and what happens if one is lost. In a single process every function here does nothing.
"""

import collections
import contextlib
import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cganjax.types import CheckpointError, UserError

Result = TypeVar("Result")
HEARTBEAT = 30  # seconds without a sign of life after which JAX takes a process for lost
IN_FLIGHT = 4  # a wish to stop is known so many steps later, so that no device waits for it
_SHARED = (UserError, CheckpointError)
_LOST = "error: another process of this run has ended or cannot be reached: see its output; the same commands resume"
# What XLA says when its collectives lose a process, on a CPU, on GPUs, and of the processes' own connection.
_COLLECTIVES = re.compile(r"gloo|nccl|rccl|coordination ?service|heartbeat", re.IGNORECASE)
_handlers: list[Any] = []  # what C holds a pointer to


# --- how processes meet -----------------------------------------------------------------------------------------------


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Wait until every process of the run is there; call it before JAX computes anything.

    Without arguments JAX finds the processes itself, if Slurm, Open MPI, a TPU pod or Kubernetes started them.

    Args:
      coordinator: "HOST:PORT", on which process 0 listens.
      processes: their number.
      process: which one this is, from 0.

    Raises:
      UserError: an argument cannot work, or there are none and JAX finds no cluster.

    Example:
      >>> join("127.0.0.1:1234", processes=2, process=2)
      Traceback (most recent call last):
        ...
      cganjax.types.UserError: --process-id is 2: expected a number from 0 to 1
    """
    given = (coordinator, processes, process)
    if any(value is not None for value in given):
        _check(*given)
    # By default JAX ends this process with a C++ stack when another one is lost.
    _on_abort()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # the others need MPI, or are for one process
    try:
        jax.distributed.initialize(
            coordinator, processes, process, heartbeat_timeout_seconds=HEARTBEAT, shutdown_timeout_seconds=HEARTBEAT
        )
    except ValueError as error:
        raise UserError(
            f"JAX found no Slurm, Open MPI, TPU pod or Kubernetes job here ({error}): "
            "give --coordinator, --num-processes and --process-id"
        ) from None


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    if None in (coordinator, processes, process):
        raise UserError("--coordinator, --num-processes and --process-id belong together: give all three or none")
    if not re.fullmatch(r"\S+:\d{1,5}", coordinator):
        raise UserError(f"--coordinator is {coordinator}: expected HOST:PORT of process 0, such as 10.0.0.1:1234")
    if processes < 1:
        raise UserError(f"--num-processes is {processes}: expected at least 1")
    if not 0 <= process < processes:
        raise UserError(f"--process-id is {process}: expected a number from 0 to {processes - 1}")


def several() -> bool:
    """Whether this run has more than one process."""
    return jax.process_count() > 1


def first() -> bool:
    """Whether this is the process that writes."""
    return jax.process_index() == 0


# --- what they agree on -----------------------------------------------------------------------------------------------


def from_first(value: Any) -> Any:
    """The first process's value, which is JSON; the others' values are not looked at."""
    if not several():
        return value
    text = np.frombuffer(json.dumps(value).encode() if first() else b"", np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    text = multihost_utils.broadcast_one_to_all(np.resize(text, size))
    return json.loads(bytes(np.asarray(text)))


def by_first(make: Callable[[], Result]) -> Result | None:
    """What the first process makes; None in the others. An error of the user's is raised in all of them."""
    if not several():
        return make()
    made = raised = None
    if first():
        try:
            made = make()
        except tuple(_SHARED) as error:
            raised = [_SHARED.index(next(kind for kind in _SHARED if isinstance(error, kind))), str(error)]
    raised = from_first(raised)
    if raised:
        raise _SHARED[raised[0]](raised[1])
    return made


def agreed(wish: Callable[[], bool]) -> Callable[[], bool]:
    """The same answer in every process: whether one of them wished it, `IN_FLIGHT` calls ago.

    Every process must ask equally often. The wishes are summed on the devices, after the work that they already have.
    """
    if not several():
        return wish
    mesh = Mesh(np.array(jax.devices()), ("process",))
    each, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("process",), ()))
    total = jax.jit(lambda wishes: wishes.sum(), out_shardings=whole)
    asked: collections.deque[jax.Array] = collections.deque()

    def ask() -> bool:
        own = np.full(jax.device_count(), wish(), np.int32)
        asked.append(total(jax.make_array_from_callback(own.shape, each, lambda index: own[index])))
        return len(asked) > IN_FLIGHT and bool(asked.popleft())

    return ask


# --- when one is lost -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def ends_together(execute: Callable[[Callable], int]) -> Iterator[None]:
    """Within it an error ends this process at once, with one sentence if the error is that another process was lost.

    JAX would first wait for the others, which wait for this one's part of a sum.

    Args:
      execute: runs a function, says what went wrong, and returns the exit code, as `cli.execute` does.
    """
    try:
        yield
    except BaseException as error:
        if not several():
            raise
        _leave(_code(error, execute))


def _code(error: BaseException, execute: Callable[[Callable], int]) -> int:
    if isinstance(error, (ValueError, RuntimeError)) and _COLLECTIVES.search(str(error)):
        print(f"\n{_LOST}", file=sys.stderr)
        return 1

    def again(argv=None):
        raise error

    try:
        return execute(again)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _on_abort() -> None:
    """Say in one sentence why JAX's C++ code ends this process, after what it has said itself, with exit code 1."""

    def say(number: int) -> None:
        os.write(2, f"\n{_LOST}\n".encode())
        os._exit(1)

    kind = ctypes.CFUNCTYPE(None, ctypes.c_int)
    _handlers.append(kind(say))
    with contextlib.suppress(OSError, AttributeError, TypeError):  # a system whose C library is not in the process
        set_handler = ctypes.CDLL(None).signal
        set_handler.argtypes, set_handler.restype = [ctypes.c_int, kind], ctypes.c_void_p
        set_handler(signal.SIGABRT, _handlers[-1])
