"""A first look in under a minute: sample a shipped checkpoint, and train shortly on the embedded digits."""

import sys
from pathlib import Path

from cganjax import cli, files, run_folder
from cganjax.commands import sample
from experiments import train


def main(argv=None) -> int:
    """Sample, train, and say where the pictures are."""
    p = cli.Parser(prog="python -m experiments.quickstart", description=__doc__)
    p.add_argument("--out", type=cli.path, default=Path("runs/quickstart"), help="a folder (default: runs/quickstart)")
    cli.add_backend(p)
    args = p.parse_args(argv)
    drawn, run = files.writable_folder(args.out / "drawn"), args.out / "digits"
    sample.main(["3141592653", "--out", str(drawn), "--backend", args.backend])
    code = train.main(["--recipe", "digits", "--out", str(run), "--backend", args.backend])
    if code == cli.DONE:
        print(
            f"\nPictures:\n  {drawn}  digits from the shipped checkpoint\n  {run / run_folder.SAMPLES}  your training"
        )
    return code


if __name__ == "__main__":
    sys.exit(cli.execute(main))
