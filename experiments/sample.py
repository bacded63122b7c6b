"""Draw digits: `python -m experiments.sample 3141592653 --out pi.png`; the same as `python -m cganjax sample`."""

import sys

from cganjax import cli
from cganjax.commands import sample


def main(argv=None) -> int:
    """Hand over to the command that the installed package has too."""
    return sample.main(argv, prog="python -m experiments.sample")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
