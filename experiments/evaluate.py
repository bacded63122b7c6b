"""How good are a generator's samples? `python -m experiments.evaluate mnist`; the same as `cganjax evaluate`."""

import sys

from cganjax import cli
from cganjax.commands import evaluate


def main(argv=None) -> int:
    """Hand over to the command of the installed package."""
    return evaluate.main(argv, prog="python -m experiments.evaluate")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
