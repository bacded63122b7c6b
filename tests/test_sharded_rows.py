"""Samples, outputs, decoys and figures over eight devices have the bits that they have on one."""

import os
import subprocess
import sys

import numpy as np

from cganjax import parallel

CODE = """
import sys
import jax, numpy as np
import cganjax
from cganjax import parallel, sampling

if sys.argv[1] == "8":  # eight CPU devices stand for accelerators
    parallel.row_devices = lambda: tuple(jax.devices())
assert len(jax.devices()) == 8
labels = np.arange(300) % 10
images = np.asarray(cganjax.sample(jax.random.key(0), labels))
classifier = cganjax.load_classifier("surrogate-cnn")
decoys = cganjax.decoy(jax.random.key(1), images[:40], classifier, epsilon=0.1, steps=2, chunk=4)
figures = cganjax.evaluate(images, labels, metrics=["accuracy", "frechet"])
np.savez(
    sys.argv[2],
    figures=[figures["accuracy"], figures["frechet"]],
    images=images,
    latents=sampling.latents(jax.random.key(0), 300, 8),
    outputs=classifier(images),
    features=classifier.features(images),
    decoys=decoys.images,
    queries=decoys.queries,
)
"""


def on_devices(count, folder):
    path = folder / f"{count}.npz"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
    done = subprocess.run([sys.executable, "-c", CODE, str(count), str(path)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(path) as arrays:
        return dict(arrays)


def test_eight_devices_give_the_bits_of_one(tmp_path):
    one, eight = on_devices(1, tmp_path), on_devices(8, tmp_path)
    for name, value in one.items():
        np.testing.assert_array_equal(eight[name], value, err_msg=name)


def test_rows_go_to_every_device_and_few_to_one():
    code = """
import jax, numpy as np
from cganjax import parallel
parallel.row_devices = lambda: tuple(jax.devices())
seen = []
def double(x):
    seen.append((len(x), len(x.devices()) if isinstance(x, jax.Array) else 1))
    return jax.numpy.asarray(x) * 2
for n, calls in ((1, [(2, 1)]), (2, [(2, 1)]), (3, [(16, 8)]), (32, [(32, 8)]), (66, [(2, 1), (32, 8), (32, 8)])):
    seen.clear()
    found = parallel.chunked(double, np.arange(n), (2, 4), pad=True, threads=True)
    assert (np.asarray(found) == 2 * np.arange(n)).all()
    assert sorted(seen) == calls, (n, seen)
"""
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_cpu_devices_share_their_cores_by_threads():
    assert parallel.row_devices() == ()
