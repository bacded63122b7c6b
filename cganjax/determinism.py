"""What the last bits of a result depend on beside its seed: the threads of a CPU and the kernels of a GPU.

`fix` makes them independent of the number of cores and of chance. docs/how-to/determinism.md says what is promised.
"""

import contextlib
import os
import platform
import zlib
from pathlib import Path

import jax

from cganjax import parallel
from cganjax.types import UserError

# XLA's CPU backend makes as many threads as this variable says, or else as there are cores. The threads share a
# convolution's sums, so their number decides the order of the additions.
THREADS = "NPROC"
GPU_FLAGS = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0")


def fix() -> None:
    """Make results independent of the number of CPU cores, and of chance on a GPU.

    Call it before JAX first computes anything. Each CPU device then has one thread. More devices, such as those of
    `jax.config.update("jax_num_cpu_devices", 2)`, still use more cores. The flags for GPUs were never tried on one.

    Raises:
      UserError: JAX has already started, with several threads.

    Example:
      >>> from cganjax import determinism
      >>> determinism.fix()  # doctest: +SKIP
      >>> determinism.fixed()
      False
    """
    if fixed():
        return
    if _jax_has_started():
        raise UserError("JAX has already started, with other threads: make it deterministic before anything computes")
    os.environ[THREADS] = "1"
    said = os.environ.get("XLA_FLAGS", "").split()
    names = {flag.partition("=")[0] for flag in said}
    os.environ["XLA_FLAGS"] = " ".join([*said, *(f for f in GPU_FLAGS if f.partition("=")[0] not in names)])


def fixed() -> bool:
    """Whether `fix` was called in this process, or the variables that it sets were set before."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    return os.environ.get(THREADS) == "1" and GPU_FLAGS[0] in flags


def use_cores(count: int) -> None:
    """Keep this process on so many of its CPU cores, if it has more and the system lets it choose, as `taskset` does.

    Call it before JAX first computes anything.
    """
    if hasattr(os, "sched_setaffinity") and count < parallel.cores():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def threads(devices: int = 1) -> int:
    """The number of threads among which XLA's CPU backend shares the work of one device; this starts JAX.

    Args:
      devices: the number of devices that share a program. Of several, each has one thread.
    """
    if devices > 1:
        return 1
    said = os.environ.get(THREADS, "")
    return max(int(said) if said.isdecimal() and int(said) > 0 else parallel.cores(), jax.local_device_count())


def processor() -> str:
    """The kind of CPU, by its instructions: other ones round differently.

    >>> processor() == processor()
    True
    """
    said = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        said = next((line for line in lines if line.startswith(("flags", "Features"))), said)
    return f"{platform.machine()}-{zlib.crc32(said.encode()):08x}"


def _jax_has_started() -> bool:
    """Whether JAX has initialised its devices: from then on it refuses another number of CPU devices."""
    before = jax.config.jax_num_cpu_devices
    try:
        jax.config.update("jax_num_cpu_devices", before + 2)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", before)
    return False
