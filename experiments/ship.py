"""Make a shipped checkpoint from a run: `python -m experiments.ship runs/mnist-s0 --name mnist`.

Writes checkpoints/NAME/: weights.npz (the averaged generator, plain arrays), card.json and grid.png.
"""

import re
import sys
from pathlib import Path

from cganjax import checkpoint as ckpt
from cganjax import cli, files


def main(argv=None) -> int:
    """Read the newest checkpoint of the run and write what use needs."""
    p = cli.Parser(prog="python -m experiments.ship", description=__doc__)
    p.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    p.add_argument("--name", required=True, help="the name to ship it under")
    p.add_argument("--out", type=Path, default=Path("checkpoints"), help="the shelf (default: checkpoints)")
    p.add_argument("--quality", type=Path, metavar="JSON", help="figures for the card, from benchmarks.quality --json")
    p.add_argument("--overwrite", action="store_true", help="replace a checkpoint of that name")
    cli.add_backend(p)
    args = p.parse_args(argv)
    folder = args.out / args.name.replace("_", "-")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", folder.name) or folder.parent != args.out:
        raise cli.UserError(f"--name is {args.name!r}: give lower-case letters, digits, dots and hyphens")
    if args.quality and not args.quality.is_file():
        raise cli.UserError(f"--quality is {args.quality}, which is no file: make one by benchmarks.quality --json")
    if any((folder / name).exists() for name in (ckpt.CARD, ckpt.WEIGHTS, ckpt.GRID)) and not args.overwrite:
        raise cli.UserError(f"{folder} exists: choose another --name, or add --overwrite")
    cli.choose_backend(args.backend)
    import jax
    import numpy as np

    from cganjax import report, sampling

    if (args.run / ckpt.CARD).exists():
        raise cli.UserError(f"{args.run} is a shipped checkpoint already: give a run folder")
    generator = sampling.load(args.run)
    quality = files.read_json(args.quality) if args.quality else {}
    files.writable_folder(folder)
    card = {**generator.card, "name": folder.name, "roles": ["generator"], "quality": quality}
    ckpt.write_shipped(folder, card, {"generator": generator.weights})
    labels = np.repeat(np.arange(generator.num_classes), 10)
    images = np.asarray(sampling.sample_from(generator, jax.random.key(0), labels))
    report.save_png(folder / ckpt.GRID, report.grid(images, 10))
    size = (folder / ckpt.WEIGHTS).stat().st_size
    print(f"{folder}: {size / 2**20:.2f} MiB of weights, step {card['steps']}, grid {folder / 'grid.png'}")
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
