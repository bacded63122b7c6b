"""Commands that draw: the grid and the array file, the prompt, the installed wheel, and each refusal."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import cganjax
from cganjax import __main__ as package
from cganjax import commands, pixels, report
from cganjax.commands import doctor
from experiments import sample

ROOT = Path(__file__).resolve().parents[1]


def test_a_grid_of_the_digits_asked_for(command, tmp_path):
    code, out, err = command(sample, "3141592653", "--out", "pi.png")
    assert (code, err) == (0, "") and "pi.png" in out
    with Image.open("pi.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (2 * 32, 2 * (10 * 30 + 2)), "one row of ten, gaps of 2, doubled"
    images = np.asarray(cganjax.sample(jax.random.key(0), [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]))
    assert np.array_equal(255 - sheet[::2, ::2][2:30, 32:60], pixels.unit_to_rest(images[1])[..., 0])
    code, _, err = command(sample, "3141592653", "--out", "pi.png")
    assert code == 2 and "pi.png exists" in err and "--overwrite" in err
    assert command(sample, "3", "1", "--out", "pi.png", "--overwrite")[0] == 0


def test_npz_seed_truncation_random_and_per_class(command):
    for name, arguments in {
        "a": ["--per-class", "2"],
        "b": ["--per-class", "2"],
        "c": ["--per-class", "2", "--seed", "1"],
        "d": ["--per-class", "2", "--truncation", "0.5"],
        "e": ["--random", "40"],
        "f": ["--random", "40", "--seed", "9"],
    }.items():
        assert command(sample, *arguments, "--out", f"{name}.npz")[0] == 0
    sets = {name: np.load(f"{name}.npz") for name in "abcdef"}
    assert sets["a"]["labels"].tolist() == [k for k in range(10) for _ in range(2)]
    assert sets["a"]["images"].shape == (20, 28, 28, 1) and sets["a"]["images"].dtype == np.float32
    assert np.array_equal(sets["a"]["images"], sets["b"]["images"])
    assert all(np.abs(sets["a"]["images"] - sets[x]["images"]).max() > 0.1 for x in "cd")
    assert len(set(sets["e"]["labels"].tolist())) > 5
    assert not np.array_equal(sets["e"]["labels"], sets["f"]["labels"])


def test_without_out_a_new_file_is_made_each_time(command, tmp_path):
    assert command(sample, "12")[0] == command(sample, "12")[0] == 0
    assert len(list((tmp_path / "samples").glob("*.png"))) == 2


def test_the_prompt_goes_on_until_an_empty_line(command, monkeypatch, tmp_path):
    lines = iter(["0 1 2 3", "x", "12", ""])
    asked = []
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or next(lines))
    code, out, _ = command(sample)
    assert code == 0 and asked == ["Input your number: "] * 4
    assert "'x' at position 0 is not a class" in out and "█" in out
    paths = [line.split(": ")[1] for line in out.splitlines() if line.endswith(".png")]
    assert len(paths) == 6 and all(Path(p).exists() for p in paths)
    assert [Path(p).name[0] for p in paths] == list("012312")
    assert np.asarray(Image.open(paths[1])).tobytes() != np.asarray(Image.open(paths[4])).tobytes(), (
        "new noise each turn"
    )


def test_the_prompt_ends_with_the_input(command, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("7\n"))
    code, out, _ = command(sample)
    assert code == 0 and out.count(".png") == 1


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["12a"], "'a' at position 2 is not a class"),
        ([""], "'' names no class: expected classes from 0 to 9"),
        ([","], "names no class"),
        (["--random", "0"], "--random is 0"),
        (["12", "--random", "3"], "give one of them"),
        (["12", "--truncation", "2"], "--truncation is 2"),
        (["12", "--out", "x.jpg"], "ends in .png or .npz"),
        (["12", "--checkpoint", "nonsense"], "no checkpoint 'nonsense': give a run folder"),
        (["12", "--checkpoint", "."], "is no checkpoint"),
        (["12", "--seed", "-1"], "--seed is -1"),
        (["12", "--colums", "3"], "did you mean --columns"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(command, arguments, said, tmp_path):
    code, _, err = command(sample, *arguments)
    assert code == 2 and said in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written(command, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = command(sample, "1", "--out", "file/x.png")
    assert code == 2 and "cannot be written" in err


def test_a_path_without_rights_is_one_sentence(command, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    code, _, err = command(sample, "1", "--out", "private/x.png")
    assert code == 2 and "private" in err and "Permission denied" in err and err.count("\n") == 1
    monkeypatch.setattr(Path, "is_dir", refuse)
    code, _, err = command(sample, "1", "--out", "private/x.png")
    assert code == 2 and "cannot be used (Permission denied)" in err and err.count("\n") == 1


def test_capital_suffix_and_too_many_columns(command):
    assert command(sample, "12", "--out", "x.PNG", "--columns", "100000000")[0] == 0
    with Image.open("x.PNG") as picture:
        assert picture.size == (2 * 62, 2 * 32)


def test_doctor_finds_every_checkpoint_intact(command):
    code, out, _ = command(doctor)
    assert code == 0 and "checkpoint mnist" in out and "intact" in out and "jaxlib" in out


def test_verbs_are_listed_from_their_folder_with_one_line_each(command):
    code, out, _ = command(package, "--help")
    assert code == 0
    listed = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  "))
    assert {"train", "sample", "classify", "decoy", "doctor"} <= listed.keys()
    assert listed.keys() == {p.stem for p in (ROOT / "cganjax/commands").glob("[a-z]*.py")}
    assert listed["train"] == "Train a recipe on images; the same command resumes an interrupted run."
    code, _, err = command(package, "smaple")
    assert code == 2 and "unknown verb 'smaple'; did you mean sample? known are classify, " in err
    assert command(package)[0] == 2


def test_listing_the_verbs_imports_none_of_them():
    code = """
import sys
from cganjax import __main__
__main__.main(["--help"])
heavy = {"flax", "optax", "orbax", "matplotlib", "PIL", "cganjax.commands.train"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


@pytest.mark.parametrize("verb", commands.names())
def test_every_verb_takes_its_name_for_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        package.main([verb, "--help"])
    assert stop.value.code == 0 and f"cganjax {verb}" in " ".join(capsys.readouterr().out.split())


def test_blocks_show_two_rows_a_line():
    image = np.zeros((3, 4, 1))
    image[0, 0] = image[1, 1] = image[2, 2] = image[0, 3] = image[1, 3] = 1
    assert report.blocks(image) == "▀▄ █\n  ▀"


MOST = 32_000_000  # bytes of the wheel; the checkpoints alone take 29.8 million


def test_the_wheel_is_small_and_has_checkpoints_and_recipes(wheel):
    assert wheel.stat().st_size < MOST
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("cganjax/")}
    for path in (ROOT / "cganjax").rglob("*.py"):
        assert str(path.relative_to(ROOT)) in inside
    shelf = {f"cganjax/{p.relative_to(ROOT)}" for p in (ROOT / "checkpoints").rglob("*.*") if p.parent.parent != ROOT}
    assert shelf <= inside


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Run a line of Python in an empty folder with the installed wheel, where no checkout is found."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    line = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(site), str(wheel)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    env = {k: v for k, v in os.environ.items() if k.startswith("JAX_")} | {
        "PATH": "/usr/bin:/bin",
        "JAX_PLATFORMS": "cpu",
        "CGANJAX_CACHE_DIR": "",
        "HOME": str(folder),
        "PYTHONPATH": str(site),
    }

    def run(*line):
        done = subprocess.run([sys.executable, *line], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", "import cganjax; print(cganjax.__file__)").startswith(str(site))
    return run, folder


def test_a_wheel_samples_in_another_folder(installed):
    run, folder = installed
    run("-m", "cganjax", "sample", "271", "--out", "e.npz")
    got = np.load(folder / "e.npz")
    np.testing.assert_array_equal(got["images"], cganjax.sample(jax.random.key(0), [2, 7, 1]))


@pytest.mark.slow
def test_a_wheel_trains_samples_and_makes_decoys_in_another_folder(installed):
    """The commands of the README, as somebody has them who only installed the package."""
    run, folder = installed
    said = run("-m", "cganjax", "train", "--recipe", "digits", "--steps", "60")
    assert "checkpoint: runs/digits-s0/checkpoints/60" in said
    assert (folder / "runs/digits-s0/samples/000060.png").exists()
    assert "1 image from digits-s0" in run("-m", "cganjax", "sample", "4", "--checkpoint", "runs/digits-s0")
    assert "images from mnist" in run("-m", "cganjax", "sample", "42")
    assert "rejected" in run("-m", "cganjax", "decoy", "31")
    if "evaluate" in commands.names():
        run("-m", "cganjax", "evaluate", "mnist", "--n", "1000")
