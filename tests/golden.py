"""What must stay the same when code moves: `python tests/golden.py` writes tests/golden.npz from the code as it is.

Values are compared to rounding everywhere, and bit for bit (`bits ...`: a CRC-32 of each array) on the same kind of
machine and versions as those that wrote the file. Write it anew only in a commit that says why bits change.
"""

import os
import platform
import sys
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

FILE = Path(__file__).with_name("golden.npz")
KEY = jax.random.key(0)
LABELS = np.arange(10)


def environment() -> str:
    """What bits depend on: versions, the CPU's instructions, and the number of cores that XLA shares work among."""
    flags = "unknown"
    if (info := Path("/proc/cpuinfo")).exists():
        flags = next((x for x in info.read_text().splitlines() if x.startswith(("flags", "Features"))), "unknown")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"jax {jax.__version__}, {platform.machine()}, {zlib.crc32(flags.encode()):08x}, {cores} cores"


def bits(tree) -> np.ndarray:
    """A CRC-32 of each array of a tree: uint32 [number of arrays]."""
    leaves = [
        jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in jax.tree.leaves(tree)
    ]
    return np.array([zlib.crc32(np.ascontiguousarray(x).tobytes()) for x in leaves], np.uint32)


def sizes(tree) -> np.ndarray:
    """The root mean square of each array of a tree: float64."""
    return np.array([np.sqrt(np.mean(np.asarray(x, np.float64) ** 2)) for x in jax.tree.leaves(tree)])


def shipped() -> dict[str, np.ndarray]:
    """Samples, scores and a decoy of the shipped checkpoints."""
    import cganjax

    found = {"sample": cganjax.sample(KEY, range(10))}
    images = found["sample"]
    for name in ("lenet5", "label-score", "digits-judge", "surrogate-mlp", "target-wide", "target-residual"):
        found[f"outputs of {name}"] = cganjax.load_classifier(name)(images)
    found["features of digits-v1"] = cganjax.load_classifier("digits-v1").features(images)
    found["sample of label-score"] = cganjax.sample(KEY, [3, 4], checkpoint="label-score")[:, ::4, ::4]
    decoys = cganjax.decoy(KEY, images, cganjax.load_classifier("lenet5"), epsilon=0.1, steps=3)
    found["decoys"] = decoys.images
    return {name: np.asarray(x) for name, x in found.items()} | {f"bits {name}": bits(x) for name, x in found.items()}


def data_sets() -> dict[str, np.ndarray]:
    """Fingerprints of the embedded and the drawn set."""
    from cganjax import data

    return {f"fingerprint {name}": np.array(data.load(name).fingerprint) for name in ("digits", "pattern_1010")}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from test_golden import everything

    np.savez_compressed(FILE, environment=environment(), **everything())
    print(f"{FILE}: {FILE.stat().st_size / 1024:.0f} KiB")
