"""`cganjax doctor`: all is well here; and whatever is damaged is named, with what to do about it."""

import json
import os
import re
import shutil
from collections import namedtuple
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cganjax import checkpoint as ckpt
from cganjax import cli, health
from cganjax.commands import doctor
from cganjax.health import arithmetic, machine, places, shelf
from cganjax.types import UserError

SHELF = Path(__file__).resolve().parents[1] / "checkpoints"


def wrong(*checks):
    """What these checks find wrong; each comes with advice."""
    found = [f for _, f in health.examine({check.__name__: check for check in checks}) if f.level == health.WRONG]
    assert all(finding.advice for finding in found)
    return [finding.said for finding in found]


@pytest.fixture
def shelved(tmp_path, monkeypatch):
    """A shelf of two shipped checkpoints to damage."""
    for name in ("mnist", "digits-v1"):
        shutil.copytree(SHELF / name, tmp_path / "shelf" / name)
    monkeypatch.setattr(ckpt, "_SHELVES", (tmp_path / "shelf",))
    return tmp_path / "shelf"


def flip(path, place=0.5, bit=3):
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1 << bit
    path.write_bytes(content)


# --- the command ------------------------------------------------------------------------------------------------------


def test_all_is_well_and_every_check_has_a_line(command, shelved, monkeypatch):
    monkeypatch.setenv("CGANJAX_DATA_DIR", str(shelved))
    code, out, err = command(doctor)
    assert (code, err) == (0, ""), out
    said = [line[7:20].strip() for line in out.splitlines() if line.startswith(("ok ", "note "))]
    assert [name for name in said if name] == list(health.CHECKS)
    assert "WRONG" not in out and re.search(r"all is well \(\d+ s\)\n$", out)
    for known in (
        "jaxlib 0.",
        "mnist is intact (card.json, grid.png, weights.npz): generator, image",
        "reference.npz",
        "owned by",
    ):
        assert known in out
    (line,) = (line for line in out.splitlines() if "  data folder " in line)
    assert f"{shelved}, owned by " in line and "holds digits-v1, mnist" in line


def test_something_wrong_is_exit_code_1_with_what_to_do(command, shelved, monkeypatch):
    chosen = {"checkpoints": shelf.checkpoints, "sample": shelf.sample}
    monkeypatch.setattr(health, "CHECKS", chosen)
    flip(shelved / "mnist" / "weights.npz")
    code, out, _ = command(doctor)
    assert code == 1 and "\nwrong: checkpoints, sample; the lines above that begin with WRONG say what to do\n" in out
    assert "WRONG  checkpoints    checkpoint mnist: " in out or "WRONG                 checkpoint mnist: " in out
    assert "-> install cganjax again, or get the folder from the repository (git checkout -- checkpoints/mnist)" in out


def test_a_check_that_fails_to_run_is_a_finding_and_the_next_ones_run():
    def broken():
        raise RuntimeError("no such device\nand more")
        yield

    found = list(health.examine({"broken": broken, "random values": arithmetic.random_values}))
    assert [(name, finding.level) for name, finding in found] == [("broken", "WRONG"), ("random values", "ok")]
    assert "could not be done (RuntimeError: no such device)" in found[0][1].said


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["weights.npz", "reference.npz"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.95])
def test_a_flipped_bit_names_the_file(shelved, file, place):
    assert wrong(shelf.checkpoints) == []
    flip(shelved / "digits-v1" / file, place)
    (said,) = wrong(shelf.checkpoints)
    assert said.startswith("checkpoint digits-v1: ") and str(shelved / "digits-v1" / file) in said


def test_a_changed_card_is_named(shelved):
    card = shelved / "mnist" / ckpt.CARD
    whole = card.read_text()
    values = json.loads(whole)
    values["weights"]["sha256"] = "0" * 64
    card.write_text(json.dumps(values))
    (said,) = wrong(shelf.checkpoints)
    assert said.startswith("checkpoint mnist: ")
    card.write_text(whole[:-20])
    (said,) = wrong(shelf.checkpoints)
    assert str(card) in said and "damaged" in said


@pytest.mark.skipif(not hasattr(ckpt, "verify"), reason="cards have no digest of their own yet")
@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_of_a_card_is_named(shelved, seed):
    place, bit = np.random.default_rng(seed).random(), seed % 7
    flip(shelved / "mnist" / ckpt.CARD, place, bit)
    (said,) = wrong(shelf.checkpoints)
    assert str(shelved / "mnist" / ckpt.CARD) in said


@pytest.mark.parametrize("name", ["mnist", "digits-v1"])
def test_a_lost_file_is_named(shelved, name):
    (shelved / name / "weights.npz").unlink()
    (said,) = wrong(shelf.checkpoints)
    assert f"{name}/weights.npz" in said


def test_no_checkpoints_at_all(monkeypatch):
    monkeypatch.setattr(ckpt, "_SHELVES", ())
    assert wrong(shelf.checkpoints) == ["there are none: cganjax was installed without them"]


def test_another_image_is_noticed(monkeypatch):
    assert wrong(shelf.sample) == []
    monkeypatch.setattr(shelf, "LABEL", 5)
    (said,) = wrong(shelf.sample)
    assert "differs from the recorded one by " in said


# --- arithmetic -------------------------------------------------------------------------------------------------------


def test_a_wrong_random_stream_is_named(monkeypatch):
    assert wrong(arithmetic.random_values) == []
    true = arithmetic.rng.stream
    monkeypatch.setattr(arithmetic.rng, "stream", lambda key, name: true(key, "z" if name == "data" else name))
    (said,) = wrong(arithmetic.random_values)
    assert said.startswith("stream data: other values than recorded")


def test_another_generator_of_random_values_is_noticed():
    with jax.threefry_partitionable(False):
        (said,) = wrong(arithmetic.random_values)
    assert "uniform" in said and "normal" in said and "the same seed gives another run" in said


def test_a_wrong_distribution_is_named(monkeypatch):
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: 2.0 * jnp.ones(shape))
    (said,) = wrong(arithmetic.random_values)
    assert said.startswith("normal: other values")


@pytest.mark.parametrize("name", arithmetic.OPERATIONS)
def test_an_operation_that_is_slightly_wrong_is_named(monkeypatch, name):
    by_jax, by_numpy, shapes = arithmetic.OPERATIONS[name]

    def off(*inputs):
        found = by_jax(*inputs)
        return found.at[(0,) * found.ndim].add(1e-3 * jnp.abs(found).max())

    monkeypatch.setattr(arithmetic, "OPERATIONS", {name: (off, by_numpy, shapes)})
    said = wrong(arithmetic.operations)
    assert [text.split(" differs from NumPy by ")[0] for text in said] == [f"{name}, jitted,", f"{name}, without jit,"]


def test_an_operation_that_only_jit_gets_wrong_is_named(monkeypatch):
    def product(a, b):
        return (1.0 + 0.1 * isinstance(a, jax.core.Tracer)) * (a @ b)

    monkeypatch.setattr(arithmetic, "OPERATIONS", {"product": (product, np.matmul, ((4, 3), (3, 2)))})
    (said,) = wrong(arithmetic.operations)
    assert said.startswith("product, jitted, differs")


def test_results_that_do_not_repeat_are_noticed(monkeypatch):
    assert wrong(arithmetic.repetition) == []
    random = np.random.default_rng(0)
    true = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: (true(tree)[0], random.random()))
    assert wrong(arithmetic.repetition) == ["a gradient step gave other bits in 4 of 4 repetitions"]


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.delenv(cli.OF_JAX, raising=False)
    monkeypatch.setenv(cli.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_cache_folder_that_cannot_be_written(own_cache):
    assert wrong(places.cache) == []
    own_cache.rmdir()
    own_cache.touch()
    (said,) = wrong(places.cache)
    assert f"the folder {own_cache} cannot be written" in said


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
@pytest.mark.parametrize("rights", [0o777, 0o775, 0o757])
@pytest.mark.parametrize("inner", [False, True])
def test_a_cache_folder_that_others_can_write_is_refused_and_named(own_cache, rights, inner):
    place = own_cache / "2-cores" if inner else own_cache
    place.mkdir(parents=True)
    place.chmod(rights)
    (said,) = wrong(places.cache)
    assert f"the cache folder {place} can be written by others" in said
    with pytest.raises(UserError, match=f"{place} can be written by others.*: chmod -R go-w"):
        cli.use_compilation_cache()
    place.chmod(0o755)
    assert wrong(places.cache) == []


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_cache_folder_of_another_user_is_refused_and_ours_is_private(own_cache, monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    cli.use_compilation_cache()
    jax.config.update("jax_compilation_cache_dir", before)
    assert own_cache.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    found = own_cache.stat()
    monkeypatch.setattr(Path, "stat", lambda self: os.stat_result((found.st_mode, 0, 0, 1, 999, 0, 0, 0, 0, 0)))
    assert "belongs to another user" in cli.may_be_changed_by_others(own_cache)


def test_a_data_folder_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("CGANJAX_DATA_DIR", str(tmp_path / "none"))
    assert wrong(places.data) == [f"{tmp_path / 'none'} (CGANJAX_DATA_DIR) is no folder"]


def test_a_full_disk(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**40, 2**40, 50 << 20))
    (said,) = wrong(places.here)
    assert "50 MiB of its disk are free" in said


# --- the machine ------------------------------------------------------------------------------------------------------


def test_a_version_that_is_too_old_is_named(monkeypatch):
    true = machine.importlib.metadata.version
    monkeypatch.setattr(machine.importlib.metadata, "version", lambda name: "0.4.1" if name == "jax" else true(name))
    (said,) = wrong(machine.versions)
    assert re.fullmatch(r"jax 0\.4\.1: cganjax needs jax>=0\.\d+\.\d+", said)


def test_versions_that_were_not_tested_are_noted(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "TESTED", tmp_path / "constraints.txt")
    machine.TESTED.write_text("# tested\njax==0.9.9  # newest\nsix==1.0\n")
    _, note = machine.versions()
    assert (
        note.level == health.NOTE and f"jax {jax.__version__} (tested: 0.9.9)" in note.said and "six" not in note.said
    )


def test_options_that_change_results_are_noted():
    with jax.enable_x64(True):
        _, note = machine.settings()
    assert note.said.startswith("jax_enable_x64 is True")


def test_too_little_memory(monkeypatch):
    import psutil

    free = namedtuple("memory", "total available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free(2**34, 300 << 20))
    assert wrong(machine.memory) == ["300 MiB free: too little to train"]
