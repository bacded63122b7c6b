"""Train a run again and compare: `python -m experiments.reproduce RUN`; the same as `cganjax reproduce`."""

import sys

from cganjax import cli
from cganjax.commands import reproduce


def main(argv=None) -> int:
    """Call the command that the installed package has too."""
    return reproduce.main(argv, prog="python -m experiments.reproduce")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
