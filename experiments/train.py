"""Train a recipe: `python -m experiments.train --recipe mnist`; the same as `cganjax train`."""

import sys

from cganjax import cli
from cganjax.commands import train


def main(argv=None) -> int:
    """Call the command that the installed package has too."""
    return train.main(argv, prog="python -m experiments.train")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
