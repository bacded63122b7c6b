"""Generate images: `python -m experiments.sample 3141592653 --out pi.png`; the same as `python -m cganjax sample`."""

import sys

from cganjax import cli
from cganjax.commands import sample


def main(argv=None) -> int:
    """Run the command that the installed package has as well."""
    return sample.main(argv, prog="python -m experiments.sample")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
