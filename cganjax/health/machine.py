"""Checks of what is installed, and of the machine: versions, device, driver, threads, settings and memory."""

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

import jax

from cganjax import parallel
from cganjax.health.finding import NOTE, OK, WRONG, Finding
from cganjax.memory import free, in_words
from cganjax.training import manifest

# Beside the package in a checkout: the exact versions that were tested.
TESTED = Path(__file__).resolve().parents[2] / "constraints.txt"
NVIDIA = Path("/proc/driver/nvidia/version")
LEAST_MEMORY = 1 << 29  # bytes: a sample and a small training fit
ENOUGH_MEMORY = 1 << 31  # bytes: every recipe fits
# Options of JAX that change results or forbid what a command does, with the value that cganjax is tested with.
OPTIONS = {
    "jax_default_matmul_precision": None,
    "jax_default_prng_impl": "threefry2x32",
    "jax_disable_jit": False,
    "jax_enable_x64": False,
    "jax_threefry_partitionable": True,
}


def versions() -> Iterator[Finding]:
    """The versions that decide what is computed, against what the package requires and what was tested."""
    found = manifest.versions()
    yield Finding(OK, ", ".join(f"{name} {version}" for name, version in found.items()))
    for requirement, installed in _unmet():
        yield Finding(
            WRONG,
            f"{requirement.name} {installed or 'is not installed'}: cganjax needs {requirement}",
            f"pip install --upgrade '{requirement}'",
        )
    other = [f"{name} {found[name]} (tested: {tested})" for name, tested in _tested() if found[name] != tested]
    if other:
        yield Finding(
            NOTE,
            f"other versions than the tested ones: {', '.join(other)}; the last bits of results may differ",
            f"for the tested ones: pip install -c {TESTED.name} cganjax",
        )


def _unmet() -> Iterator[tuple]:
    """Requirements of the package that the environment does not meet, and what it has instead."""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in importlib.metadata.requires("cganjax") or ()]
    except importlib.metadata.PackageNotFoundError:  # a checkout on the path, not installed
        return
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                installed = importlib.metadata.version(requirement.name)
            except importlib.metadata.PackageNotFoundError:
                installed = None
            if installed is None or not requirement.specifier.contains(installed, prereleases=True):
                yield requirement, installed


def _tested() -> Iterator[tuple[str, str]]:
    """The tested version of each package that decides what is computed, if the file is there."""
    lines = TESTED.read_text(encoding="utf-8").splitlines() if TESTED.is_file() else ()
    for name, _, version in (line.split("#")[0].strip().partition("==") for line in lines):
        if version and name in manifest.PACKAGES:
            yield name, version


def device() -> Iterator[Finding]:
    """What JAX computes on, and a GPU that it does not use."""
    devices = jax.devices()
    first, count = devices[0], len(devices)
    kind = first.device_kind if first.device_kind != first.platform else "CPU"
    memory = (first.memory_stats() or {}).get("bytes_limit") if first.platform != "cpu" else None
    size = f", {in_words(memory)} each" if memory else ""
    software = first.client.platform_version.splitlines()[0] if first.platform != "cpu" else ""
    yield Finding(OK, f"{count} x {kind} ({first.platform}{size}){software and f'; {software}'}")
    if NVIDIA.exists():
        driver = NVIDIA.read_text().splitlines()[0].removeprefix("NVRM version: ")
        if first.platform == "cpu":
            yield Finding(
                NOTE,
                f"there is an NVIDIA driver ({driver}), and JAX computes on the CPU",
                "to use the GPU: pip install 'cganjax[gpu]', then doctor --backend gpu",
            )
        else:
            yield Finding(OK, f"driver {driver}")


def threads() -> Iterator[Finding]:
    """The cores that XLA shares work among; a CPU's last bits depend on their number."""
    cores, all_of_them = parallel.cores(), os.cpu_count() or 1
    of = "" if cores == all_of_them else f" of the machine's {all_of_them}"
    yield Finding(OK, f"{cores} core{'s' * (cores > 1)}{of}; on a CPU the last bits depend on this number")
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 2 * all_of_them:
        yield Finding(NOTE, f"the load is {load:.0f}: {all_of_them} cores are shared, and times mean little")


def settings() -> Iterator[Finding]:
    """Environment variables and options that change what JAX does."""
    chosen = {name: os.environ[name] for name in sorted(os.environ) if name == "XLA_FLAGS" or name.startswith("JAX_")}
    yield Finding(OK, " ".join(f"{name}={value}" for name, value in chosen.items()) or "JAX and XLA as they come")
    for name, usual in OPTIONS.items():
        if (value := getattr(jax.config, name)) != usual:
            yield Finding(
                NOTE, f"{name} is {value}: results differ from those with {usual}", f"unset {name.upper()}, if you can"
            )


def memory() -> Iterator[Finding]:
    """What is free for a run, as the commands count it that refuse work which needs more."""
    size = free()
    said = f"{in_words(size)} free"
    if size < LEAST_MEMORY:
        yield Finding(WRONG, f"{said}: too little to train", "end other programs, or take a larger machine")
    elif size < ENOUGH_MEMORY:
        yield Finding(NOTE, f"{said}: large batches may not fit", "end other programs, or use smaller batches")
    else:
        yield Finding(OK, said)
