"""The forms of CONTRIBUTING.md: each is added to a copy of the package, and what it adds is found and works there.

A form is a section with fenced Python blocks. The first line of a block says what it is: `# FILE` is a new file,
`# FILE: TABLE` is an entry of that table and the imports that it needs, and `# try it` is code that must run then.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
# Every kind of addition that has a form: the title of its section.
FORMS = ("A data source", "A network family", "An attack", "A detector", "A metric", "A verb")


def blocks_of(title):
    """The blocks of a section: (first line without the `#`, the rest)."""
    section = PAGE.partition(f"### {title}\n")[2].partition("\n##")[0]
    found = re.findall(r"```python\n# (.*?)\n(.*?)```", section, re.DOTALL)
    assert len(found) == section.count("```python"), f"a block of {title!r} does not say what it is"
    return found


def with_entry(source, table, block):
    """A module's source with imports added after its own, and entries at the beginning of a dictionary or tuple."""
    lines = block.strip().splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    entries = [f"    {line}" for line in lines if line and line not in imports]
    body = ast.parse(source).body
    (value,) = (
        node.value
        for node in body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id == table
    )
    rows = source.splitlines()
    row, column = value.lineno - 1, value.col_offset + 1  # after the opening bracket
    rows[row : row + 1] = [rows[row][:column], *entries, rows[row][column:]]
    after = max(node.end_lineno for node in body if isinstance(node, (ast.Import, ast.ImportFrom)))
    assert after <= row
    rows[after:after] = imports
    return "\n".join(rows) + "\n"


def test_entries_go_into_dictionaries_and_tuples():
    source = 'import a\n\nTABLE: dict = {"x": 1}\nNAMES = ("y",)\n'
    for table, entry, want in (
        ("TABLE", '"z": 2,', {"TABLE": {"z": 2, "x": 1}}),
        ("NAMES", '"w",', {"NAMES": ("w", "y")}),
    ):
        changed, found = with_entry(source, table, f"import b\n\n{entry}\n"), {}
        assert "import a\nimport b\n" in changed
        exec(changed.replace("import a\nimport b\n", ""), found)
        assert found[table] == want[table]


def test_every_form_is_run():
    titles = re.findall(r"^### (.*)", PAGE.partition("## Add one\n")[2], re.MULTILINE)
    assert tuple(titles) == FORMS


@pytest.mark.slow
@pytest.mark.parametrize("title", FORMS)
def test_a_form_makes_something_that_works(title, tmp_path):
    package = tmp_path / "cganjax"
    shutil.copytree(ROOT / "cganjax", package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    added, entries, tried = 0, 0, 0
    for says, block in blocks_of(title):
        if says == "try it":
            line = [sys.executable, "-c", block]
            env = os.environ | {"PYTHONPATH": str(tmp_path)}
            done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            tried += 1
            continue
        name, _, table = says.partition(": ")
        path = tmp_path / name
        if table:
            path.write_text(with_entry(path.read_text(), table, block))
            entries += 1
        else:
            assert not path.exists(), f"{name} is not new"
            path.write_text(block)
            added += 1
    assert added == 1 and entries <= 1 and tried == 1, "an addition is one new file and at most one entry"
