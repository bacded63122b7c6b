"""The house: each file imports only from rooms before it, the door is light and lists its names, the README runs."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cganjax

ROOT = Path(__file__).resolve().parents[1]
# In order; files on one line may not import each other. A folder stands for all its files.
ROOMS = (
    ("types",),
    ("augment", "files", "parallel", "pixels", "rng", "scores", "spec"),
    ("checkpoint", "data", "decoys", "models"),
    ("report",),
    ("training",),
    ("recipes", "sampling"),
    ("compat", "evaluation"),
    ("cli",),
    ("commands",),
    ("__main__",),
)
LEVEL = {room: i for i, rooms in enumerate(ROOMS) for room in rooms}


def imports_of(path):
    """The rooms of cganjax, and other top-level packages, that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "cganjax":
                yield from (f"cganjax.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room_of(path):
    return path.relative_to(ROOT / "cganjax").parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path",
    [p for p in sorted((ROOT / "cganjax").rglob("*.py")) if p != ROOT / "cganjax/__init__.py"],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_data_flows_one_way(path):
    here = room_of(path)
    assert here in LEVEL, f"{path} has no room: give it one in ROOMS"
    for name in imports_of(path):
        top = name.split(".")[0]
        assert top not in ("experiments", "benchmarks", "tests", "tensorflow", "torch") and name != "cganjax", name
        assert top != "flax" or here == "models", "Linen stays inside models/"
        if name.startswith("cganjax."):
            there = name.split(".")[1]
            assert there == here or LEVEL[there] < LEVEL[here], f"{here} imports {there}, a later room"


def test_the_door_is_alphabetical_and_every_name_is_there():
    assert cganjax.__all__ == sorted(cganjax.__all__)
    assert all(getattr(cganjax, name) is not None for name in cganjax.__all__)
    assert set(cganjax.__all__) == set(cganjax._ROOMS)
    with pytest.raises(AttributeError, match="it has CheckpointError"):
        cganjax.smaple  # noqa: B018


def test_import_is_light_touches_no_device_and_no_option():
    code = """
import jax, sys
before = {k: v for k, v in jax.config.values.items()}
import cganjax
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
assert before == {k: v for k, v in jax.config.values.items()}
heavy = {'flax', 'orbax', 'optax', 'matplotlib', 'PIL', 'sklearn', 'tensorflow_datasets'} & set(sys.modules)
assert not heavy, heavy
import cganjax.sampling
heavy = {'orbax', 'matplotlib', 'PIL', 'sklearn', 'tensorflow_datasets'} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_decoys_is_the_door_of_its_rooms():
    from cganjax import decoys
    from cganjax.decoys import diagnostics

    assert decoys.DecoyWarning is diagnostics.DecoyWarning and decoys.WARNINGS is diagnostics.WARNINGS
    assert decoys.Doubt is decoys.DecoyWarning and decoys.DOUBTS is decoys.WARNINGS  # the old names
    assert decoys.decoy is cganjax.decoy and decoys.DecoyResult is cganjax.DecoyResult


def test_public_functions_say_what_they_are():
    for path in (ROOT / "cganjax").rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def readme_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_ci_runs_the_two_lines_of_the_readme():
    lines = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("python -m pip")]
    assert len(lines) == 2
    for line in lines:
        assert line.replace(" --quiet", "") in "".join(readme_blocks("bash"))


def test_the_readme_names_only_commands_and_flags_that_exist(capsys):
    commands = re.findall(
        r"python -m ((?:experiments|benchmarks)\.\w+|cganjax \w+)(.*)", "\n".join(readme_blocks("bash"))
    )
    assert len(commands) > 8
    for module, rest in commands:
        name = module.replace("cganjax ", "cganjax.commands.")
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(name).main(["--help"])
        assert stop.value.code == 0
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert set(re.findall(r"--[a-z-]+", rest.split("#")[0].split("&&")[0])) <= known, module + rest


def test_the_code_of_the_readme_runs(tmp_path):
    code = "\n".join(readme_blocks("python"))
    assert "cganjax.sample" in code
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=_env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _env():
    return os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
