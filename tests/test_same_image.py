"""Image i is the same to the bit whatever else is generated, and no number of images costs a compilation of its own."""

import dataclasses
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cganjax
from cganjax import checkpoint as ckpt
from cganjax import sampling
from cganjax.commands import sample
from cganjax.sampling import chunks

pytestmark = pytest.mark.usefixtures("optimised")  # XLA rounds as it does for users
GENERATORS = [name for name, card in ckpt.checkpoints().items() if "generator" in card["roles"]]
COUNTS = (1, 2, 3, 7, 31, 32, 33, 70)
KEY = jax.random.key(7)


def check_all_counts(name, seeds):
    labels = np.arange(max(COUNTS)) % 10
    for seed in seeds:
        every = np.asarray(cganjax.sample(jax.random.key(seed), labels, checkpoint=name))
        for n in COUNTS:
            some = cganjax.sample(jax.random.key(seed), labels[:n], checkpoint=name)
            assert_array_equal(some, every[:n], err_msg=f"{name}, seed {seed}, {n} images")


@pytest.mark.parametrize("name", GENERATORS)
def test_image_i_has_the_same_bits_whatever_n_is(name):
    check_all_counts(name, range(2))


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATORS)
def test_image_i_has_the_same_bits_for_twenty_keys(name):
    check_all_counts(name, range(20))


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_and_latents_have_the_same_bits_whatever_n_is(name):
    generator = cganjax.load(name)
    z, labels = np.asarray(sampling.latents(KEY, 70, generator.latent_size)), np.arange(70) % 10
    images = np.asarray(generator(z, labels))
    for n in (1, 3, 33):
        assert_array_equal(sampling.latents(KEY, n, generator.latent_size), z[:n])
        assert_array_equal(sampling.latents(KEY, n, generator.latent_size, start=70 - n), z[70 - n :])
        assert_array_equal(generator(z[:n], labels[:n]), images[:n])


# --- compilations -----------------------------------------------------------------------------------------------------


@pytest.fixture
def compiled():
    """The seconds of each compilation since the test began."""
    seconds = []

    def listen(name, duration, **_):
        if name == "/jax/core/compile/backend_compile_duration":
            seconds.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seconds
    jax.monitoring.unregister_event_duration_listener(listen)


def every_size(call):
    for n in chunks.sizes():
        call(n)


@pytest.mark.parametrize("what", ["sample", "generator", "between", "latents", "classifier", "features", "outputs"])
def test_fifty_lengths_compile_nothing(what, compiled):
    generator, labels = cganjax.load("mnist"), np.arange(1000) % 10
    z = np.random.default_rng(0).standard_normal((1000, generator.latent_size)).astype(np.float32)
    images = np.random.default_rng(0).random((1000, 28, 28, 1), np.float32)
    classifier, discriminator = cganjax.load_classifier("lenet5"), cganjax.load_discriminator("label-score")
    call = {
        "sample": lambda n: cganjax.sample(KEY, labels[:n]),
        "generator": lambda n: generator(z[:n], labels[:n]),
        "between": lambda n: generator.between(z[:n], np.eye(10)[labels[:n]]),
        "latents": lambda n: sampling.latents(KEY, n, 8),
        "classifier": lambda n: classifier(images[:n]),
        "features": lambda n: classifier.features(images[:n]),
        "outputs": lambda n: discriminator(images[:n]),
    }[what]
    every_size(call)
    compiled.clear()
    step = 1 if what != "outputs" else 3  # a discriminator of 56x56 pixels takes longer
    for n in range(1, 51, step):
        assert len(call(n)) == n
    assert not compiled


def test_a_thousand_images_compile_nothing_either(compiled):
    labels = np.arange(1000) % 10
    every_size(lambda n: cganjax.sample(KEY, labels[:n]))
    compiled.clear()
    images = np.asarray(cganjax.sample(KEY, labels))
    assert not compiled
    assert_array_equal(images[:70], cganjax.sample(KEY, labels[:70]))


# --- what does not change images --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2, reason="one core")
def test_the_number_of_cores_does_not_change_images(tmp_path):
    code = """import os, sys
cores = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, range(int(sys.argv[1])))
import cganjax, jax, numpy as np
np.save(sys.argv[2], cganjax.sample(jax.random.key(7), np.arange(70) % 10))"""
    found = []
    for cores in (1, 2):
        path = tmp_path / f"{cores}.npy"
        env = {k: v for k, v in os.environ.items() if k != "JAX_DISABLE_MOST_OPTIMIZATIONS"} | {"JAX_PLATFORMS": "cpu"}
        subprocess.run([sys.executable, "-c", code, str(cores), str(path)], check=True, env=env)
        found.append(np.load(path))
    assert_array_equal(*found)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../escaped/x", "/absolute/x", "..", "a\\b\0c"])
def test_a_card_cannot_name_another_folder(name, tmp_path, monkeypatch, command):
    from cganjax import sampling as loaded

    generator = cganjax.load("mnist")
    stranger = dataclasses.replace(generator, card={**generator.card, "name": name})
    monkeypatch.setattr(loaded, "load", lambda checkpoint: stranger)
    out = tmp_path / "deep" / "deeper"
    code, _, _ = command(sample, "3", "--out", str(out))
    assert code == 0
    assert [p.parent for p in tmp_path.rglob("*.png")] == [out], "one image, in the folder asked for"


def test_commands_at_the_same_time_take_different_names(tmp_path):
    together = threading.Barrier(8, timeout=60)

    def write(path):
        together.wait()
        path.write_text(str(path))

    with ThreadPoolExecutor(8) as pool:
        paths = [*pool.map(lambda _: sample.written(tmp_path / "a.png", write, False), range(8))]
    assert len({*paths}) == 8 and all(path.read_text() == str(path) for path in paths)

    def fails(path):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        sample.written(tmp_path / "b.png", fails, False)
    assert not (tmp_path / "b.png").exists()


def test_many_images_show_progress_with_the_time_left(capsys, monkeypatch):
    clock = iter([0.0, 5.0, 20.0, 30.0])
    monkeypatch.setattr(sample.time, "perf_counter", lambda: next(clock))
    show = sample.shown(4000)
    for done in (500, 1000, 4000):
        show(done)
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "compiling, then generating 4,000 images",
        "1,000 of 4,000 images, about 60 s left",
        "4,000 of 4,000 images, about 0 s left",
    ]
    sample.shown(10)(10)
    assert capsys.readouterr().err == ""
