"""The command `cganjax VERB ...`, also `python -m cganjax VERB ...`: calls the verb's file in `cganjax.commands`.

Everything but `interrupts` is imported inside the functions, so that Ctrl-C is watched before it.
"""

import sys

from cganjax import interrupts

PROG = "cganjax"


def main(argv=None) -> int:
    """Run the verb, or list the verbs."""
    import difflib
    import importlib

    from cganjax import cli, commands

    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return cli.DONE if argv else cli.BAD_INPUT
    verb, *rest = argv
    if verb == "--version":
        print(f"{PROG} {sys.modules[__package__].__version__}")
        return cli.DONE
    known = commands.names()
    if verb not in known:
        near = difflib.get_close_matches(verb, [*known, "--help", "--version"], n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise cli.UserError(f"unknown verb {verb!r}; {hint}known are {', '.join(known)}")
    return importlib.import_module(f"cganjax.commands.{verb}").main(rest, prog=f"{PROG} {verb}")


def usage() -> str:
    """What `--help` prints: each verb in one line."""
    from cganjax import commands

    verbs = commands.summaries()
    width = max(map(len, verbs))
    lines = "\n".join(f"  {name:{width}}  {summary}" for name, summary in verbs.items())
    usage = f"usage: {PROG} VERB [--help] ..., or {PROG} --version"
    return f"{usage}\n\nverbs:\n{lines}\n\n{PROG} VERB --help describes the flags of a verb."


def entry() -> None:
    """What the installed `cganjax` script calls."""
    interrupts.watch()
    from cganjax import cli

    sys.exit(cli.execute(main))


if __name__ == "__main__":
    entry()
