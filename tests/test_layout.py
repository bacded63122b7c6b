"""The layout: imports go downwards, sizes stay where they belong, the public API is light and documented, docs run."""

import ast
import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cganjax

ROOT = Path(__file__).resolve().parents[1]
# From the lowest to the highest: a module imports lower layers only. A folder stands for all its files that have no
# layer of their own, and these may import each other; two modules of one layer may not.
LAYERS = (
    ("interrupts", "npz", "parallel", "quiet", "types", "waiting"),
    ("checks", "memory"),
    ("augment", "determinism", "digests", "distributed", "files", "metrics", "pixels", "rng", "scores", "spec"),
    ("run_folder", "sealed"),
    ("checkpoint", "data", "decoys", "metrics_lines", "models", "run_lock", "run_states"),
    ("report", "views"),
    ("training",),
    ("recipes", "sampling"),
    ("compat", "evaluation", "training.beginning", "training.result"),
    ("training.session",),
    ("evaluation.beside", "reproduction"),
    ("cli",),
    ("health",),
    ("commands",),
    ("__main__",),
)
LEVEL = {module: i for i, modules in enumerate(LAYERS) for module in modules}
MODULES = sorted((ROOT / "cganjax").rglob("*.py"))


def relative(path):
    return str(path.relative_to(ROOT))


# --- the order of imports ---------------------------------------------------------------------------------------------


def imports_of(path):
    """The modules of cganjax, and other top-level packages, that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "cganjax":
                yield from (f"cganjax.{alias.name}" for alias in node.names)
            else:
                yield node.module


def in_layers(module):
    """The name in LAYERS for "training.loop": its own, or that of its folder."""
    name = ".".join(module.split(".")[:2])
    return name if name in LEVEL else name.split(".")[0]


def layer_of(path):
    return in_layers(".".join(path.relative_to(ROOT / "cganjax").with_suffix("").parts))


@pytest.mark.parametrize("path", [p for p in MODULES if p != ROOT / "cganjax/__init__.py"], ids=relative)
def test_imports_go_downwards(path):
    here = layer_of(path)
    assert here in LEVEL, f"{path} has no layer: give it one in LAYERS"
    for name in imports_of(path):
        top = name.split(".")[0]
        assert top not in ("experiments", "benchmarks", "tests", "tensorflow", "torch") and name != "cganjax", name
        assert top != "flax" or here == "models", "Linen stays inside models/"
        if name.startswith("cganjax."):
            there = in_layers(name.removeprefix("cganjax."))
            assert there == here or LEVEL[there] < LEVEL[here], f"{here} imports {there}, which is not below it"


# --- image sizes and names of data sets -------------------------------------------------------------------------------

# Files and folders that may have any of them, and why.
SIZES_ALLOWED = {
    "cganjax/recipes/": "a recipe is made for one data set",
    **{
        f"cganjax/models/{name}.py": "a published system"
        for name in ("label_map", "label_score", "lenet5", "mlp_gan", "pattern_1010")
    },
    "cganjax/data/known.py": "the table of known data sets",
    "cganjax/data/idx.py": "the MD5 sums of the files of known data sets",
    "cganjax/data/embedded.py": "makes `digits`, one of the known data sets",
}
# Single values elsewhere, and why.
VALUES_ALLOWED = {
    ("cganjax/checkpoint.py", "mnist"): "the name of the default checkpoint",
    ("cganjax/data/sources.py", "digits"): "an entry of the table of data sets that a function makes",
    ("cganjax/data/sources.py", "pattern_1010"): "an entry of the table of data sets that a function makes",
    ("cganjax/models/__init__.py", "pattern_1010"): "the name of a network family",
}


def sizes_and_names(path):
    """The numbers 28 and 784 and the names of known data sets in a module, outside of docstrings: (line, value)."""
    from cganjax.data import known

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and type(node.value) in (int, str) and node.value in {28, 784, *known.KNOWN}:
            yield node.lineno, node.value


def test_only_recipes_and_published_systems_know_an_image_size_or_a_data_set():
    found = [(relative(p), line, value) for p in MODULES for line, value in sizes_and_names(p)]
    left = [
        f"{file}:{line}: {value!r}"
        for file, line, value in found
        if not file.startswith((*SIZES_ALLOWED,)) and (file, value) not in VALUES_ALLOWED
    ]
    assert not left, "\n".join(left)
    assert {*VALUES_ALLOWED} <= {(file, value) for file, _, value in found}, "an entry that is no longer needed"


# --- the public API ---------------------------------------------------------------------------------------------------


def test_the_public_names_are_alphabetical_and_all_there():
    assert cganjax.__all__ == sorted(cganjax.__all__)
    assert all(getattr(cganjax, name) is not None for name in cganjax.__all__)
    with pytest.raises(AttributeError, match="it has .*CheckpointError"):
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


def test_modules_functions_and_classes_have_docstrings():
    for path in MODULES:
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def lacking(name):
    """What the docstring of a public function or class lacks; modules and errors need no more than a sentence."""
    value = getattr(cganjax, name)
    if inspect.ismodule(value) or (isinstance(value, type) and issubclass(value, Exception)):
        return
    said = inspect.getdoc(value) or ""
    if inspect.isfunction(value) and inspect.signature(value).parameters:
        yield from (f"{name} {part}" for part in ("Args", "Returns", "Raises") if f"{part}:\n" not in said)
    if ">>> " not in said:
        yield f"{name} example"


def test_public_names_say_what_they_take_return_and_raise_with_an_example():
    found = [line for name in cganjax.__all__ for line in lacking(name)]
    assert not found, found


# Modules whose examples take long.
SLOW_EXAMPLES = ("cganjax/decoys/craft.py",)


def modules_with_examples():
    for path in MODULES:
        if ">>> " in path.read_text():
            marks = [pytest.mark.slow] if relative(path) in SLOW_EXAMPLES else []
            yield pytest.param(path, id=relative(path), marks=marks)


@pytest.mark.parametrize("path", [*modules_with_examples()])
def test_examples_in_docstrings_run(path, tmp_path, monkeypatch):
    import jax
    import numpy as np

    monkeypatch.chdir(tmp_path)
    dotted = relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = importlib.import_module(dotted)
    names = vars(module) | {"cganjax": cganjax, "jax": jax, "jnp": jax.numpy, "np": np}
    runner, said = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE), []
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as users have it
        for example in doctest.DocTestFinder().find(module, globs=names):
            runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


# --- the README and the pages -----------------------------------------------------------------------------------------


README = ROOT / "README.md"
PAGES = [README, *sorted(p for folder in ("tutorials", "how-to") for p in (ROOT / "docs" / folder).rglob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def test_ci_runs_the_two_lines_of_the_readme_then_style_and_slow_tests():
    lines = (ROOT / ".ci/run").read_text().splitlines()
    installs = [i for i, line in enumerate(lines) if line.startswith("python -m pip")]
    assert len(installs) == 2
    for i in installs:
        line, end = lines[i][: -len(" || exit 1")], lines[i][-len(" || exit 1") :]
        assert line.replace(" --quiet", "") in "".join(blocks(README, "bash")), line
        assert end == " || exit 1", "`set -e` alone goes on after `false && true`"
    rest = [
        "ruff check .",
        "ruff format --check .",
        "JAX_DISABLE_MOST_OPTIMIZATIONS=0 python -m pytest -m 'slow and not long'",
    ]
    assert lines[installs[-1] + 1 :] == rest


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_pages_name_only_commands_and_flags_that_exist(page, capsys):
    text = "\n".join(blocks(page, "bash"))
    commands = re.findall(
        r"^(?:\$ )?(?:python -m )?((?:experiments|benchmarks)\.\w+|cganjax [a-z]\w*)(.*)", text, re.MULTILINE
    )
    assert page != README or len(commands) >= 3
    for module, rest in commands:
        name = module.replace("cganjax ", "cganjax.commands.")
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(name).main(["--help"])
        assert stop.value.code == 0
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert set(re.findall(r"--[a-z-]+", rest.split("#")[0].split("&&")[0])) <= known, module + rest


@pytest.mark.slow
def test_the_code_of_the_readme_runs(tmp_path):
    code = "\n".join(blocks(README, "python"))
    assert "cganjax.sample" in code
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
