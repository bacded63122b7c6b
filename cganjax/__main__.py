"""`python -m cganjax VERB ...`: hands over to the verb's file in `cganjax.commands`."""

import importlib
import sys

from cganjax import cli, commands


def main(argv=None) -> int:
    """Pick the verb and run it."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: python -m cganjax VERB [--help] ...\nverbs: {', '.join(commands.VERBS)}")
        return cli.DONE if argv else cli.BAD_INPUT
    if argv[0] not in commands.VERBS:
        raise cli.UserError(f"unknown verb {argv[0]!r}: known are {', '.join(commands.VERBS)}")
    verb = importlib.import_module(f"cganjax.commands.{argv[0]}")
    return verb.main(argv[1:])


def entry() -> None:
    """What the installed `cganjax` script calls."""
    sys.exit(cli.execute(main))


if __name__ == "__main__":
    entry()
