"""The documentation: links resolve, its commands exist, its programs run, and the reference is up to date."""

import contextlib
import functools
import importlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "checkpoints/README.md"]
# Programs that run as they stand. Blocks that need a model or data of the reader's are marked ```py, not ```python.
PROGRAMS = [p for p in PAGES if p.parent.name in ("tutorials", "how-to") and "```python\n" in p.read_text()]

COMMAND = re.compile(r"(?:python -m )?(cganjax [a-z]\w*|experiments\.[a-z]\w*|benchmarks(?:\.[a-z]\w*)?)( .*|$)")


def name(path):
    return str(path.relative_to(ROOT))


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


@functools.cache
def anchors(path):
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_pictures_resolve(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{name(page)} links to {link}, which does not exist"
        assert not anchor or anchor in anchors(target), f"{name(page)} links to {link}, which has no such heading"


def test_every_page_is_reached_from_the_index():
    seen, todo = set(), [ROOT / "docs/README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)\s#]+)", without_code(page.read_text()))
        todo += [(page.parent / link).resolve() for link in links if not link.startswith("http")]
    assert {name(p) for p in PAGES} - {name(p) for p in seen} == set()


def test_code_names_only_documents_that_exist():
    for folder in ("cganjax", "experiments", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for named in re.findall(r"(?<![\w/])docs/[\w./-]*\w", path.read_text()):
                assert (ROOT / named).exists(), f"{name(path)} names {named}, which does not exist"


@functools.cache
def options(module):
    """The options of a command, from its --help."""
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit):
        importlib.import_module(module).main(["--help"])
    return set(re.findall(r"--[a-z][a-z-]*", out.getvalue()))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_have_the_options_that_pages_name(page):
    code = re.findall(r"```bash\n(.*?)```|`([^`\n]+)`", page.read_text(), re.DOTALL)
    lines = "\n".join(part for pair in code for part in pair).replace("\\\n", " ").split("\n")
    for line in lines:
        found = COMMAND.match(line.strip())
        if found is None:
            continue
        module = found[1].replace("cganjax ", "cganjax.commands.")
        module = "benchmarks.__main__" if module == "benchmarks" else module
        used = set(re.findall(r"--[a-z][a-z-]*", found[2].split("#")[0]))
        assert used <= options(module), f"{name(page)}: {line}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 900


def test_the_reference_is_up_to_date(capsys):
    pytest.importorskip("griffe")
    from experiments import document

    assert document.main(["--check"]) == 0, capsys.readouterr().out + "run python -m experiments.document"


@pytest.mark.slow
@pytest.mark.parametrize("page", PROGRAMS, ids=name)
def test_programs_run_as_they_stand(page, tmp_path):
    program = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
