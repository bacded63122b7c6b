"""How much memory is free, and the refusal of work that needs more.

Callers estimate what they will surely hold; `check` compares it with what is free before anything is allocated.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from cganjax.types import BadArgument

_CGROUPS = Path("/sys/fs/cgroup")
# The limit, the use and the statistics of a container's memory: version 2 of Linux control groups, and version 1.
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def check(needed: int, what: str, advice: str = "ask for fewer") -> None:
    """Refuse work that does not fit into the memory that is free.

    Args:
      needed: bytes that will surely be held at the same time.
      what: the argument and what needs the memory, in the plural: "n is 100: its images".
      advice: what to do instead.

    Raises:
      BadArgument: more is needed than is free (a `UserError` and a `ValueError`).
    """
    _check(needed, free(), what, advice)


def check_host(needed: int, what: str, advice: str) -> None:
    """`check` for what only the host's memory holds; it does not initialise JAX."""
    _check(needed, max(0, min([_of_machine(), *_of_limits()])), what, advice)


def _check(needed: int, available: int, what: str, advice: str) -> None:
    if needed > available:
        raise BadArgument(f"{what} need {in_words(needed)} and {in_words(available)} are free: {advice}")


def check_images(said: str, count: int, shape: tuple[int, ...], copies: int = 1) -> None:
    """`check` for float32 images [count, H, W, C]; `said` is the argument that asks for them, as "n is 100".

    Args:
      copies: how many are held at the same time. A picture of all of them takes two more.
    """
    check(copies * count * math.prod(shape) * 4, f"{said}: its images")


def free() -> int:
    """Bytes that this process can still allocate: of the machine, its container and its accelerator the least."""
    return max(0, min([_of_machine(), *_of_limits(), *_of_accelerator()]))


def bytes_of(tree: Any) -> int:
    """Bytes of all arrays of a tree, which may be `jax.ShapeDtypeStruct`s.

    >>> bytes_of(jax.ShapeDtypeStruct((2**40, 3), "float32")) == 2**40 * 12
    True
    """
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def in_words(size: int) -> str:
    """A number of bytes for people.

    >>> in_words(313_600_000_000_000)
    '285 TiB'
    """
    value, units = size, iter(("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    while value >= 1024 and (larger := next(units, None)):
        value, unit = value / 1024, larger
    return f"{value:,.0f} {unit}" if value >= 10 or unit == "bytes" else f"{value:.1f} {unit}"


def _of_machine() -> int:
    import psutil  # it knows Linux, macOS and Windows

    return psutil.virtual_memory().available


def _of_limits() -> Iterator[int]:
    """What a container or `ulimit -v` leaves, if there are such limits."""
    for limit, used, statistics in _CGROUP_FILES:
        try:
            most, now = int((_CGROUPS / limit).read_text()), int((_CGROUPS / used).read_text())
            lines = dict(line.split() for line in (_CGROUPS / statistics).read_text().splitlines())
        except (OSError, ValueError):  # no such control group, or no limit: "max"
            continue
        yield most - now + int(lines.get("inactive_file", 0))  # cached files, which the kernel gives back
    try:
        import resource
    except ImportError:  # Windows
        return
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        import psutil

        yield most - psutil.Process().memory_info().vms


def _of_accelerator() -> Iterator[int]:
    if jax.default_backend() != "cpu":
        statistics = jax.local_devices()[0].memory_stats() or {}
        if "bytes_limit" in statistics:
            yield statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
