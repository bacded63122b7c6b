"""Write docs/reference from the docstrings, the commands' options and the recipes: `python -m experiments.document`.

The pages are committed, so that they can be read without building anything. Run this command after you change a
docstring, an option or a recipe. With --check nothing is written, and the exit code is 1 if a page is out of date.

Docstrings are read by griffe (`pip install 'cganjax[docs]'`), which does not import the code.
"""

import importlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cganjax import cli, commands, files, recipes
from cganjax.training import config

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs/reference"
# The packages that get a page besides cganjax itself, in the order of the index.
MODULES = (
    "data",
    "sampling",
    "report",
    "models",
    "training.algorithms",
    "training.config",
    "training.loop",
    "evaluation",
    "decoys",
    "decoys.detectors",
    "decoys.attacks",
    "decoys.attacks.objectives",
    "spec",
    "types",
    "rng",
    "scores",
    "checkpoint",
    "determinism",
    "distributed",
    "compat",
)
# Tables of the project: title, module, name. A table maps names to functions, classes, modules, or records of these.
TABLES = (
    ("Attack methods", "cganjax.decoys.attacks", "METHODS"),
    ("Attack objectives", "cganjax.decoys.attacks.objectives", "OBJECTIVES"),
    ("Detectors", "cganjax.decoys.detectors", "DETECTORS"),
    ("Metrics", "cganjax.evaluation", "METRICS"),
    ("Network families", "cganjax.models", "FAMILIES"),
    ("Training algorithms", "cganjax.training.algorithms", "ALGORITHMS"),
)
WRITTEN_BY = "*Written by `python -m experiments.document`. Edit the docstrings, not this page.*"


def main(argv=None) -> int:
    """Write the pages, or compare them with what is there."""
    parser = cli.Parser(prog="python -m experiments.document", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    args = parser.parse_args(argv)
    found = pages()
    there = {str(path.relative_to(OUT)) for path in OUT.rglob("*.md")}
    old = sorted(there - set(found))
    changed = [name for name, text in found.items() if name not in there or (OUT / name).read_text() != text]
    for name in [*changed, *old]:
        print(f"{OUT.relative_to(ROOT) / name} {'is out of date' if args.check else 'removed' if name in old else ''}")
    if args.check:
        return cli.FAILED if changed or old else cli.DONE
    for name in changed:
        (OUT / name).parent.mkdir(parents=True, exist_ok=True)
        files.write_file(OUT / name, found[name].encode())
    for name in old:
        (OUT / name).unlink()
    return cli.DONE


def pages() -> dict[str, str]:
    """Every page of the reference, by its file name."""
    package = _griffe().load(
        "cganjax",
        search_paths=[ROOT],
        docstring_parser="google",
        # Our sections say no types: "Returns:" is a sentence.
        docstring_options={"returns_multiple_items": False, "returns_named_value": False, "warnings": False},
    )
    found = {"cganjax.md": module_page(package, "cganjax", "The public API: everything that `import cganjax` offers.")}
    index = ["# Reference", "", WRITTEN_BY, "", "## Public API", "", *_index(package, "cganjax.md")]
    index += ["", "## Commands, recipes and tables", ""]
    index += ["- [Commands](commands.md): every verb of `cganjax VERB`, every experiment, and their options."]
    index += ["- [Recipes](recipes.md): source, time, results and settings of each recipe."]
    index += ["- [Tables](tables.md): attack methods, objectives, detectors, metrics, network families, algorithms."]
    index += ["", "## Modules", "", "These are public too, but they change more often.", ""]
    for name in MODULES:
        try:
            module = package[name]
        except KeyError:
            raise cli.UserError(f"cganjax.{name} does not exist: change MODULES in {Path(__file__).name}") from None
        page = f"{name}.md"
        if not [*_members(module)]:
            continue
        found[page] = module_page(module, f"cganjax.{name}")
        index.append(f"- [`cganjax.{name}`]({page}): {_summary(module)}")
    found |= {"commands.md": commands_page(), "recipes.md": recipes_page(), "tables.md": tables_page()}
    found["README.md"] = "\n".join(index) + "\n"
    return found


def _griffe():
    try:
        import griffe
    except ImportError:
        raise cli.UserError("griffe reads the docstrings and is not installed: pip install 'cganjax[docs]'") from None
    return griffe


# --- modules ----------------------------------------------------------------------------------------------------------


def module_page(module: Any, name: str, summary: str | None = None) -> str:
    """The page of one module: its docstring, and each public member."""
    text = [summary] if summary else [*_docstring(module)]
    lines = [f"# `{name}`", "", WRITTEN_BY, "", *text]
    for member in _members(module):
        lines += ["", *_member(member, name, 2)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _members(module: Any) -> Iterator[tuple[str, Any]]:
    """The public functions, classes and tables of a module, in its order."""
    names = [str(name) for name in module.exports] if module.exports else list(module.members)
    for name in names:
        member = module.members.get(name)
        if member is None or name.startswith("_"):
            continue
        if member.is_alias:
            exported = module.exports or (module.is_init_module and member.target_path.startswith(f"{module.path}."))
            if not exported:
                continue  # imported for its own use
            try:
                member = member.final_target
            except _griffe().AliasResolutionError:  # griffe does not see names that are assigned as a tuple
                continue
        if member.is_module or (not member.is_attribute and member.docstring is None):
            continue
        if member.is_attribute and not _comment(member):
            continue
        yield name, member


def _index(module: Any, page: str) -> list[str]:
    return [f"- [`{name}`]({page}#{_anchor(name)}): {_summary(member)}" for name, member in _members(module)]


def _anchor(name: str) -> str:
    """GitHub's anchor of a heading that is a name."""
    return name.lower()


def _summary(thing: Any) -> str:
    if thing.is_attribute:
        return _comment(thing)
    return thing.docstring.value.strip().partition("\n\n")[0].replace("\n", " ") if thing.docstring else ""


def _member(pair: tuple[str, Any], parent: str, level: int) -> list[str]:
    """A function with its signature and sections; a class with its fields and public methods; a table."""
    name, member = pair
    lines = [f"{'#' * level} `{name}`", ""]
    if member.is_function:
        return [*lines, *_signature(member, f"{parent}.{name}"), "", *_docstring(member)]
    if member.is_attribute:
        return [*lines, _sentence(_comment(member))]
    lines += [*_docstring(member)]
    members = _with_private_bases(member)
    fields = [(n, m) for n, m in members.items() if m.is_attribute and not n.startswith("_")]
    if fields:
        lines += ["", "| field | type | |", "|---|---|---|"]
        for n, m in fields:
            lines.append(f"| `{n}` | {_code(m.annotation)} | {_cell(_comment(m))} |")
    for n, m in members.items():
        if m.is_function and m.docstring and (n == "__call__" or not n.startswith("_")):
            head = [f"{'#' * (level + 1)} " + (f"`{name}.{n}`" if n != "__call__" else f"calling a `{name}`")]
            if "property" in m.labels:
                lines += ["", *head, "", *_docstring(m)]
            else:
                call = name.lower() if n == "__call__" else f"{name.lower()}.{n}"
                lines += ["", *head, "", *_signature(m, call), "", *_docstring(m)]
    return lines


def _with_private_bases(member: Any) -> dict[str, Any]:
    """The members of a class and of its private base classes, which have no entry of their own."""
    bases = [base for base in member.resolved_bases if base.name.startswith("_")]
    return {n: m for base in bases for n, m in _with_private_bases(base).items()} | dict(member.members)


def _signature(function: Any, name: str) -> list[str]:
    """One parameter per line if they do not fit into one."""
    parameters = [p for p in function.parameters if p.name not in ("self", "cls")]
    shown, kind = [], None
    for p in parameters:
        if p.kind.name == "keyword_only" and kind not in ("keyword_only", "var_positional"):
            shown.append("*")
        kind = p.kind.name
        star = {"var_positional": "*", "var_keyword": "**"}.get(kind, "")
        text = f"{star}{p.name}" + (f": {p.annotation}" if p.annotation is not None else "")
        if p.default is not None and not star:
            text += f" = {p.default}" if p.annotation is not None else f"={p.default}"
        shown.append(text)
    returns = f" -> {function.returns}" if function.returns is not None else ""
    line = f"{name}({', '.join(shown)}){returns}"
    if len(line) > 88:
        line = f"{name}(\n" + "".join(f"    {text},\n" for text in shown) + f"){returns}"
    return ["```py", line, "```"]


def _docstring(thing: Any) -> Iterator[str]:
    """The sections of a docstring as Markdown."""
    if thing.docstring is None:
        return
    for section in thing.docstring.parsed:
        kind, value = section.kind.value, section.value
        yield ""
        if kind == "text":
            yield _text(value)
        elif kind == "examples":
            yield "**Example**\n"
            yield _text("\n\n".join(text for _, text in value))
        elif kind in ("parameters", "attributes"):
            yield "**Arguments**\n" if kind == "parameters" else "**Fields**\n"
            yield from (f"- `{item.name}`: {_sentence(item.description)}" for item in value)
        elif kind in ("raises", "warns"):
            yield f"**{kind.capitalize()}**\n"
            yield from (f"- {_errors(item.annotation)}: {_sentence(item.description)}" for item in value)
        elif kind in ("returns", "yields"):
            yield f"**{kind.capitalize()}**\n"
            yield "\n".join(_text(item.description) for item in value)
        elif kind == "admonition":
            yield f"**{section.title}**\n"
            yield _text(value.description)


def _text(text: str) -> str:
    """Prose as it is; paragraphs of a session, and indented or aligned ones, as code."""
    blocks = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = paragraph.split("\n")
        if paragraph.lstrip().startswith(">>>"):
            blocks.append("```pycon\n" + paragraph + "\n```")
        elif any(re.match(r"\S.*?\S {2,}\S", line) for line in lines) or lines[0].startswith("    "):
            blocks.append("```text\n" + paragraph + "\n```")
        else:
            blocks.append(paragraph.strip())
    return "\n\n".join(blocks)


def _errors(annotation: Any) -> str:
    return ", ".join(f"`{name.strip()}`" for name in str(annotation).strip("()").split(","))


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _sentence(text).replace("|", "\\|")


def _code(annotation: Any) -> str:
    return f"`{annotation}`".replace("|", "\\|") if annotation is not None else ""


def _comment(attribute: Any) -> str:
    """What a field says of itself: `help=` of its `field(...)`, a docstring, or the comment behind or below it."""
    if attribute.docstring:
        return attribute.docstring.value
    if attribute.lineno is None:
        return ""
    value = str(attribute.value or "")
    if said := re.match(r"""field\(\s*((?:(['"]).*?\2\s*)+)""", value, re.DOTALL):
        return "".join(text for _, text in re.findall(r"""(['"])(.*?)\1""", said[1], re.DOTALL))
    lines = attribute.filepath.read_text().splitlines()
    _, hash_, comment = lines[attribute.endlineno - 1].partition("  # ")
    words = [comment] if hash_ else []
    for line in lines[attribute.endlineno :] if hash_ else ():
        if not line.strip().startswith("# ") or line.strip().startswith("# ---"):
            break
        words.append(line.strip()[2:])
    if not words and attribute.parent.is_module:
        above = attribute.lineno - 2
        while above >= 0 and lines[above].startswith("# ") and not lines[above].startswith("# ---"):
            words.insert(0, lines[above][2:])
            above -= 1
    return " ".join(words)


# --- commands ---------------------------------------------------------------------------------------------------------


class _Parser(Exception):
    """Carries a command's parser out of its `main`."""

    def __init__(self, parser: cli.Parser):
        super().__init__(parser.prog)
        self.parser = parser


def commands_page() -> str:
    """Every verb, and every experiment that is no verb, with its options."""
    verbs = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
    lines = ["# Commands", "", WRITTEN_BY, ""]
    lines += ["Verbs work as `cganjax VERB` and as `python -m cganjax VERB`. Experiments need a checkout.", ""]
    described = []
    for verb in verbs:
        module = importlib.import_module(f"cganjax.commands.{verb}")
        if hasattr(module, "main"):
            described.append((f"cganjax {verb}", _parser(module)))
    for name in sorted(module.name for module in pkgutil.iter_modules([str(ROOT / "experiments")])):
        module = importlib.import_module(f"experiments.{name}")
        if name not in verbs and hasattr(module, "main"):
            described.append((f"python -m experiments.{name}", _parser(module)))
    lines += [f"- [`{name}`](#{re.sub('[^a-z0-9_ -]', '', name).replace(' ', '-')})" for name, _ in described]
    for name, parser in described:
        lines += ["", f"## `{name}`", "", _text(parser.description or ""), ""]
        lines += ["| argument | |", "|---|---|"]
        formatter = parser._get_formatter()
        for action in parser._actions:
            if "--help" in action.option_strings:
                continue
            named = ", ".join(action.option_strings) or action.metavar or action.dest
            if action.option_strings and action.nargs != 0 and "--no-" not in named:
                choices = "|".join(map(str, action.choices or ()))
                value = action.metavar or choices or action.dest.upper()
                named += f" {value}" + (" ..." if action.nargs in ("+", "*") else "")
            said = formatter._expand_help(action) if action.help else ""
            lines.append(f"| `{_cell(named)}` | {_cell(said)} |")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _parser(module: Any) -> cli.Parser:
    """The parser that a command's `main` makes."""

    def take(parser, args=None, namespace=None):
        raise _Parser(parser)

    before, cli.Parser.parse_args = cli.Parser.parse_args, take
    try:
        module.main([])
    except _Parser as found:
        return found.parser
    finally:
        cli.Parser.parse_args = before
    raise AssertionError(f"{module.__name__}.main parses no arguments")


# --- tables -----------------------------------------------------------------------------------------------------------


def tables_page() -> str:
    """What can be chosen by name, with the settings of each choice."""
    lines = ["# Tables", "", WRITTEN_BY, "", "Everything in cganjax that is chosen by name, with its own settings."]
    for title, module, table in TABLES:
        lines += ["", f"## {title}", "", f"`{module}.{table}`", "", "| name | | settings |", "|---|---|---|"]
        for name, entry in getattr(importlib.import_module(module), table).items():
            subject = _subject(entry)
            said = (inspect.getdoc(subject) or "").partition("\n\n")[0]
            lines.append(f"| `{name}` | {_cell(said)} | {_settings(subject)} |")
    return "\n".join(lines) + "\n"


def _subject(entry: Any) -> Any:
    """What documents an entry: itself, or the first function or class of a record."""
    parts = entry if isinstance(entry, tuple) else (entry,)
    return next((part for part in parts if inspect.isfunction(part) or inspect.isclass(part)), parts[0])


def _settings(subject: Any) -> str:
    """The keyword-only parameters of a function."""
    if not inspect.isfunction(subject):
        return ""
    parameters = inspect.signature(subject).parameters.values()
    known = [f"`{p.name}={p.default!r}`" for p in parameters if p.kind == p.KEYWORD_ONLY and p.default is not p.empty]
    return ", ".join(known)


# --- recipes ----------------------------------------------------------------------------------------------------------


def recipes_page() -> str:
    """What each recipe says of itself, and its settings."""
    lines = ["# Recipes", "", WRITTEN_BY, ""]
    lines += ["`cganjax.recipe(NAME)` returns the settings. `cganjax train --recipe NAME` trains with them.", ""]
    lines += ["| recipe | |", "|---|---|"]
    every = recipes.names()
    for name in every:
        lines.append(f"| [`{name}`](#{name}) | {_cell(recipes.page(name).strip().partition(chr(10))[0])} |")
    for name in every:
        said = "\n".join(line.rstrip() for line in recipes.page(name).strip().split("\n"))
        lines += ["", f"## `{name}`", "", "```text", said, "```"]
        if not recipes.needs_data(name):
            lines += ["", "```json", config.dumps(recipes.load(name)), "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "120")
    sys.exit(cli.execute(main))
