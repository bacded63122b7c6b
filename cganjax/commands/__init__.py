"""The verbs of `cganjax VERB`, one file each.

A verb's file has a docstring, whose first line is its help, and `main(argv, prog) -> exit code`. A new verb is a new
file here; nothing else lists it. Files whose name begins with an underscore are shared by verbs.
"""

import ast
import importlib.util
import pkgutil


def names() -> list[str]:
    """Every verb there is."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def summaries() -> dict[str, str]:
    """The verbs, each with the first line of its file's docstring; no verb is imported for it."""
    return {name: _summary(name) for name in names()}


def _summary(name: str) -> str:
    module = importlib.util.find_spec(f"{__name__}.{name}")
    source = module.loader.get_source(module.name)
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
