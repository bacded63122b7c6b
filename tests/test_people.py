"""What a person meets at the command line: paths, versions, mistyped words, silence, and pictures without labels."""

import argparse
import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cganjax import cli, commands
from cganjax.types import UserError

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted(
    path.stem for path in (ROOT / "experiments").glob("*.py") if "cli.Parser(" in path.read_text(encoding="utf-8")
)
MODULES = [f"cganjax.commands.{verb}" for verb in commands.names()] + [f"experiments.{study}" for study in STUDIES]


def parser_of(module, monkeypatch):
    """The parser of a command or a study, whose main is stopped when it parses."""
    found = []

    def stop(self, args=None, namespace=None):
        found.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.Parser, "parse_args", stop)
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module(module).main([])
    monkeypatch.undo()
    return found[0]


# --- paths ------------------------------------------------------------------------------------------------------------

PLACES = re.compile("DIR|PATH|FILE|PNG|JSON|RUN|CHECKPOINT|GENERATOR|CLASSIFIER|SOURCE")


@pytest.mark.parametrize("module", MODULES)
def test_every_flag_that_takes_a_path_is_a_path(module, monkeypatch):
    """A flag with the metavar of a path, or a default that is one, has the type that expands and refuses."""
    for action in parser_of(module, monkeypatch)._actions:
        named = action.metavar and PLACES.fullmatch(action.metavar)
        if named or isinstance(action.default, Path) or action.dest in ("out", "json", "data_dir", "checkpoint"):
            assert action.type in (cli.path, cli.name_or_path), f"{module}: {action.option_strings or action.dest}"


@pytest.mark.parametrize("kind", [cli.path, cli.name_or_path])
def test_a_home_folder_is_expanded_wherever_it_stands(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    parser = cli.Parser(prog="x")
    parser.add_argument("--out", type=kind)
    assert str(parser.parse_args(["--out=~/x"]).out) == str(tmp_path / "x")
    assert str(parser.parse_args(["--out", "a~b"]).out) == "a~b"


@pytest.mark.parametrize("kind", [cli.path, cli.name_or_path])
@pytest.mark.parametrize(
    "text, said",
    [
        ("~nosuch/x", "~nosuch/x names a home folder that does not exist"),
        ("y" * 5000, "5000 characters, is longer than a path may be"),
        ("/".join(["abc"] * 2000), "7999 characters, is longer than a path may be"),
        ("a\0b", "holds a zero byte"),
        ("", "the path is empty"),
    ],
)
def test_a_path_that_cannot_be_is_one_short_sentence(kind, text, said):
    parser = cli.Parser(prog="x")
    parser.add_argument("--out", type=kind)
    with pytest.raises(UserError, match=re.escape(said)) as error:
        parser.parse_args([f"--out={text}"])
    assert str(error.value).startswith("argument --out: ") and len(str(error.value)) < 200
    with pytest.raises(argparse.ArgumentTypeError):
        kind(text)


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------

COMMANDS = {
    "cganjax train": ["cganjax", "train", "--recipe", "digits", "--steps", "100000", "--out", "run"],
    "experiments.train": ["experiments.train", "--recipe", "label_score", "--dataset", "digits", "--out", "run"],
    "cganjax decoy": ["cganjax", "decoy", "0123456789", "--target", "lenet5", "--set", "steps=2000"],
    "experiments.pattern_1010": ["experiments.pattern_1010", "--steps", "100000", "--seeds", "3000", "--out", "p"],
}
MOMENTS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.9, 1.3, 1.8, 2.5, 3.5, 5.0, 8.0)


def interrupted(line, moment, folder):
    """Start a command, press Ctrl-C so many seconds after it began to import NumPy; its exit code, stderr and time."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    process = subprocess.Popen(
        [sys.executable, "-m", *line], cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "numpy" not in maps.read_text():
        time.sleep(0.005)
    time.sleep(moment)
    assert process.poll() is None, "it ended by itself"
    process.send_signal(signal.SIGINT)
    began = time.perf_counter()
    _, err = process.communicate(timeout=120)
    return process.returncode, err.decode(), time.perf_counter() - began


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc")
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_at_any_moment_is_one_word_and_exit_code_130(name, tmp_path):
    slowest = 0.0
    for i, moment in enumerate(MOMENTS):
        folder = tmp_path / str(i)
        folder.mkdir()
        code, err, seconds = interrupted(COMMANDS[name], moment, folder)
        said = err.replace("\r", "\n").strip().splitlines()
        assert code == 130 and "Traceback" not in err, f"after {moment} s: exit code {code}\n{err}"
        assert said[-1] == "interrupted" or "stopping after this step, saving ..." in said, f"after {moment} s:\n{err}"
        assert not list(folder.rglob("*.part")), f"after {moment} s"
        slowest = max(slowest, seconds)
    print(f"{name}: {len(MOMENTS)} of {len(MOMENTS)} ended with 130, the slowest after {slowest:.1f} s")


SWALLOWED = """
import sys, time
from cganjax import interrupts
interrupts.watch()
from cganjax import cli
def main(argv):
    print("begun", flush=True)
    {body}
sys.exit(cli.execute(main))
"""
BODIES = {
    "swallowed": "\n    ".join(["try:", "    time.sleep(60)", "except BaseException:", "    time.sleep(60)"]),
    "turned into another error": "\n    ".join(
        ["try:", "    time.sleep(60)", "except BaseException:", "    raise ImportError('half done')"]
    ),
    "inside C": "import ctypes; ctypes.PyDLL(None).sleep(0); ctypes.CDLL(None).sleep(60)",
    "as it comes": "time.sleep(60)",
}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("body", BODIES)
def test_a_ctrl_c_that_is_swallowed_ends_the_command_all_the_same(body):
    code = SWALLOWED.format(body=BODIES[body])
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted\n")


def test_only_a_command_that_is_run_watches_ctrl_c():
    code = "import signal; from experiments import pi; print(signal.getsignal(signal.SIGINT).__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "default_int_handler\n", done.stderr


@pytest.mark.parametrize("module", ["cganjax.__main__", "cganjax.interrupts"])
def test_ctrl_c_is_watched_before_anything_heavy_is_imported(module):
    code = f"import sys, {module}; print(*(m for m in ('numpy', 'jax', 'cganjax.cli') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "\n", done.stderr
