"""Work that needs more memory than is free is refused before anything is allocated."""

import dataclasses
import time

import jax
import numpy as np
import pytest

import cganjax
from cganjax import memory
from cganjax.commands import evaluate, interpolate, sample, train
from cganjax.training import session
from cganjax.types import BadArgument, UserError
from experiments import pattern_1010

KEY = jax.random.key(0)


def test_what_fits_passes_and_one_byte_more_does_not(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: 1000)
    memory.check(1000, "ten images")
    with pytest.raises(BadArgument, match=r"^ten images need 1,001 bytes and 1,000 bytes are free: ask for fewer$"):
        memory.check(1001, "ten images")


def test_sizes_are_said_in_words():
    assert [memory.in_words(n) for n in (0, 1023, 1536, 10 * 2**20, 3136 * 10**11, 2**60)] == [
        "0 bytes",
        "1,023 bytes",
        "1.5 KiB",
        "10 MiB",
        "285 TiB",
        "1,024 PiB",
    ]


@pytest.mark.parametrize("version", [0, 1])
def test_the_limit_of_a_container_counts_without_the_files_that_it_caches(tmp_path, monkeypatch, version):
    limit, used, statistics = memory._CGROUP_FILES[version]
    for name, text in ((limit, "1000000\n"), (used, "900000\n"), (statistics, "anon 1\ninactive_file 50000\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    assert memory.free() == 150_000
    (tmp_path / limit).write_text("max\n")
    assert memory.free() > 10**6


def test_the_limit_of_the_process_counts(monkeypatch):
    resource = pytest.importorskip("resource")
    import psutil

    used = psutil.Process().memory_info().vms
    monkeypatch.setattr(resource, "getrlimit", lambda which: (used + 10**6, used + 10**6))
    assert memory.free() < 10**8


def test_an_accelerator_counts_by_what_its_pool_has_left(monkeypatch):
    class Device:
        def memory_stats(self):
            return {"bytes_limit": 5000, "bytes_in_use": 2000}

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    assert memory.free() == 3000


def test_shapes_have_a_size_without_being_allocated():
    assert memory.bytes_of({"a": jax.ShapeDtypeStruct((10**9, 10**9), "float32"), "b": np.zeros(3, np.int8)}) == (
        4 * 10**18 + 3
    )


# --- the places that ask ----------------------------------------------------------------------------------------------

TOO_MUCH = {
    "random": (sample, ["--random", 10**11], "--random is 100000000000: its images need"),
    "per class": (sample, ["--per-class", 10**9], "--per-class is 1000000000: its images need"),
    "evaluate": (evaluate, ["--n", 10**9], "--n is 1000000000: its images need"),
    "interpolate": (interpolate, ["mnist", "--samples", 10**9], "--samples is 1000000000: its images need"),
    "seeds": (pattern_1010, ["--seeds", 10**9], "--seeds is 1000000000: their states and outputs need"),
    "seeds past 2^32": (pattern_1010, ["--seeds", 2, "--seed", 2**32 - 1], "all below 2^32"),
    "networks": (
        train,
        ["--recipe", "digits", "--dry-run", "--set", "generator.hidden=1000000000"],
        "the networks, their gradients and optimizers need",
    ),
    "width": (train, ["--recipe", "digits", "--dry-run", "--set", "generator.hidden=10000000000"], "at most 2^31 - 1"),
    "steps": (train, ["--recipe", "digits", "--dry-run", "--steps", 10**10], "steps is 10000000000"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_commands_refuse_what_does_not_fit_with_one_sentence(command, tmp_path, case):
    module, arguments, says = TOO_MUCH[case]
    began = time.monotonic()
    code, out, err = command(module, *arguments)
    assert (code, out) == (2, "") and err.startswith("error: ") and says in err and err.count("\n") == 1
    assert time.monotonic() - began < 10
    assert not [*tmp_path.iterdir()], "nothing is left behind"


def test_an_unconditional_generator_refuses_more_images_than_fit():
    run = cganjax.train(dataclasses.replace(cganjax.recipe("pattern_1010"), steps=1), progress=False)
    with pytest.raises(ValueError, match=r"^the number of images is 10{11}: its images need 1.5 TiB and .* are free"):
        cganjax.sample(KEY, n=10**11, checkpoint=run.generator)


def test_attacks_refuse_settings_that_do_not_fit_or_would_not_end(monkeypatch):
    images, classify = np.full((2, 4, 4, 1), 0.5, np.float32), lambda x: x.reshape(len(x), -1)[:, :3] * 2.0
    for method, setting in (("square", "queries"), ("spsa", "samples"), ("pgd", "steps"), ("ti", "translation")):
        with pytest.raises(ValueError, match=f"^{setting} is 100000000000: expected a whole number of at least "):
            cganjax.decoy(KEY, images, classify, epsilon=0.1, method=method, **{setting: 10**11})
    monkeypatch.setattr(memory, "free", lambda: 10**6)
    for method, setting in (("square", "queries"), ("spsa", "samples")):
        with pytest.raises(ValueError, match=f"^{setting} is 1000000: the .* need .* and 977 KiB are free"):
            cganjax.decoy(KEY, images, classify, epsilon=0.1, method=method, **{setting: 10**6})


def test_nothing_of_a_card_is_allocated_before_its_networks_are_known(monkeypatch):
    """A card may ask for any latent size: its networks are shapes until their weights fit them."""
    from cganjax import models

    settings = models.Settings("pattern_1010", {"latent_size": 2 * 10**9}, {})
    networks = models.build(settings, cganjax.ImageSpec.numbered(1, 4, 1, 1))
    assert jax.eval_shape(networks.generator.init, KEY) is not None


def test_a_config_that_fits_is_let_through():
    config = cganjax.recipe("digits")
    assert session.check(config) == config
    with pytest.raises(UserError, match="choose smaller ones"):
        session.check(dataclasses.replace(config, generator={**config.generator, "hidden": 10**9}))
