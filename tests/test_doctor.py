"""`cganjax doctor`: all is well here; and whatever is damaged is named, with what to do about it."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cganjax import checkpoint as ckpt
from cganjax import cli, health, memory, parallel
from cganjax.commands import doctor
from cganjax.health import arithmetic, machine, places, shelf
from cganjax.types import CacheWarning

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


POSIX = pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")


@pytest.fixture
def open_folder(monkeypatch):
    """A folder that other users can reach, unlike pytest's; JAX's settings of the cache are put back."""
    monkeypatch.delenv(cli.OF_JAX, raising=False)
    monkeypatch.delenv(cli.CACHE, raising=False)
    before = {name: getattr(jax.config, name) for name in OF_THE_CACHE}
    with tempfile.TemporaryDirectory(prefix="cganjax-tests-") as folder:
        folder = Path(folder).resolve()
        folder.chmod(0o755)
        if any(not place.stat().st_mode & stat.S_IXOTH for place in folder.parents):
            pytest.skip("no other user reaches the folder of temporary files")
        yield folder
    for name, value in before.items():
        jax.config.update(name, value)


OF_THE_CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
PROGRAMS = f"{parallel.cores()}-cores"


@pytest.fixture
def own_cache(open_folder, monkeypatch):
    monkeypatch.setenv(cli.CACHE, str(open_folder / "cache"))
    return open_folder / "cache"


def test_a_cache_folder_that_cannot_be_written(own_cache):
    assert wrong(places.cache) == []
    shutil.rmtree(own_cache)
    own_cache.touch()
    (said,) = wrong(places.cache)
    assert f"the folder {own_cache / PROGRAMS} cannot be written" in said


# The folders of each way to name the cache, from the outermost to the one that JAX writes into.
NAMED = {
    cli.CACHE: ("parent", "parent/mine", f"parent/mine/{PROGRAMS}"),
    cli.OF_JAX: ("parent", "parent/mine"),
    "XDG_CACHE_HOME": ("parent", "parent/cganjax", f"parent/cganjax/{PROGRAMS}"),
}


@POSIX
@pytest.mark.parametrize("rights", [0o777, 0o775, 0o757])
@pytest.mark.parametrize("variable, place", [(name, place) for name, places in NAMED.items() for place in places])
def test_a_cache_that_others_can_change_is_not_used_and_the_place_is_named(
    open_folder, monkeypatch, variable, place, rights
):
    monkeypatch.setenv(variable, str(open_folder / ("parent" if variable == "XDG_CACHE_HOME" else "parent/mine")))
    used = open_folder / NAMED[variable][-1]
    used.mkdir(parents=True)
    for folder in NAMED[variable]:
        (open_folder / folder).chmod(0o755)
    place = open_folder / place
    place.chmod(rights)
    (finding,) = (f for f in places.cache() if f.level == health.WRONG)
    own = cli.OF_JAX if variable == cli.OF_JAX else cli.CACHE
    assert finding.advice == f"chmod go-w {place}, or set {own} to a folder of your own"
    assert finding.said.startswith(f"others can write into {place}")
    with pytest.warns(CacheWarning, match=re.escape(finding.advice)):
        cli.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None
    place.chmod(0o755)  # the advice
    assert wrong(places.cache) == []
    cli.use_compilation_cache()
    if variable != cli.OF_JAX:  # which JAX reads when it is imported
        assert jax.config.jax_compilation_cache_dir == str(used)


@POSIX
def test_one_advice_mends_all_folders_that_others_can_write_into(own_cache):
    for place in (own_cache, own_cache / PROGRAMS):
        place.mkdir()
        place.chmod(0o775)
    (finding,) = (f for f in places.cache() if f.level == health.WRONG)
    chmod, _, other = finding.advice.partition(", or ")
    assert chmod == f"chmod go-w {own_cache} {own_cache / PROGRAMS}" and other.startswith("set ")
    subprocess.run(chmod.split(), check=True)
    assert wrong(places.cache) == []


@POSIX
def test_what_nobody_else_reaches_or_can_replace_is_used(own_cache):
    used = own_cache / PROGRAMS
    used.mkdir(parents=True)
    used.chmod(0o777)
    own_cache.chmod(0o700)
    assert wrong(places.cache) == []
    own_cache.chmod(0o1777)  # as /tmp: others add to it, and cannot rename what is ours
    used.chmod(0o755)
    assert wrong(places.cache) == []


@POSIX
def test_a_cache_of_another_user_is_not_used(own_cache, monkeypatch):
    (own_cache / PROGRAMS).mkdir(parents=True)
    true = Path.stat

    def theirs(self, **options):
        found = true(self, **options)
        return os.stat_result((*found[:4], 999, *found[5:10])) if self == own_cache else found

    monkeypatch.setattr(Path, "stat", theirs)
    (finding,) = (f for f in places.cache() if f.level == health.WRONG)
    assert finding.said.startswith(f"{own_cache} belongs to another user")
    assert finding.advice == f"set {cli.CACHE} to a folder of your own"


TWICE = """if True:
    import os, sys
    os.umask(0o002)
    from cganjax import cli
    from cganjax.commands import sample
    sys.exit(cli.execute(sample.main, sys.argv[1:]))"""


@POSIX
@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", cli.OF_JAX])
def test_the_second_command_finds_the_programs_of_the_first_for_any_umask(open_folder, variable):
    """JAX makes its folder with the usual rights, which for umask 002 let the group write."""
    line = [sys.executable, "-c", TWICE, "3"]
    environment = {name: value for name, value in os.environ.items() if name not in (cli.OF_JAX, cli.CACHE)}
    environment |= {variable: str(open_folder / "new"), "PYTHONPATH": str(SHELF.parent)}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    kept = []
    for _ in range(2):
        done = subprocess.run(line, cwd=open_folder, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        kept.append({path.name for path in open_folder.rglob("*-cache")})
    assert kept[0] and kept[0] == kept[1]
    made = [open_folder / "new", *(path for path in (open_folder / "new").rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}


@POSIX
def test_a_command_warns_once_and_goes_on_without_a_cache_that_others_can_change(open_folder):
    (open_folder / "mine").mkdir()
    (open_folder / "mine").chmod(0o777)
    line = [sys.executable, "-c", TWICE, "3"]
    environment = os.environ | {cli.OF_JAX: str(open_folder / "mine"), "PYTHONPATH": str(SHELF.parent)}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run(line, cwd=open_folder, env=environment, capture_output=True, text=True)
    mine = open_folder / "mine"
    warning = (
        f"warning: compiled programs are neither kept nor used: others can write into {mine}, and the processor runs "
        f"what is in {mine}: chmod go-w {mine}, or set {cli.OF_JAX} to a folder of your own\n"
    )
    assert (done.returncode, done.stderr) == (0, warning)
    assert list((open_folder / "mine").iterdir()) == []


def test_an_empty_name_of_a_cache_is_no_cache(open_folder, monkeypatch):
    for variable in (cli.CACHE, cli.OF_JAX):
        monkeypatch.setenv(variable, "")
        (note,) = places.cache()
        assert note.level == health.NOTE and note.advice == f"unset {variable}, or give it a folder"
        monkeypatch.delenv(variable)


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
    """What a container leaves counts, not what its machine has."""
    monkeypatch.setattr(memory, "_of_limits", lambda: iter([300 << 20]))
    assert wrong(machine.memory) == ["300 MiB free: too little to train"]
