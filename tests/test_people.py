"""What a person meets at the command line: paths, versions, mistyped words, silence, and pictures without labels."""

import argparse
import importlib
import re
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
