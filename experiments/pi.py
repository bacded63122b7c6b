"""Twenty grids of the first 64 digits of pi: `python -m experiments.pi`.

They are generated through the original system's interface, `cganjax.compat.AiGcMn`. The command writes grid-01.png to
grid-20.png into --out, each with 8x8 digits in reading order.
"""

import sys
from pathlib import Path

from cganjax import cli, files

PI = "3141592653589793238462643383279502884197169399375105820974944592"


def main(argv=None) -> int:
    """Generate the grids."""
    p = cli.Parser(prog="python -m experiments.pi", description=__doc__)
    p.add_argument(
        "--checkpoint",
        type=cli.name_or_path,
        default="mnist",
        help="a conditional checkpoint of ten classes (default: mnist)",
    )
    p.add_argument("--seed", type=int, default=0, help="the same seed gives the same grids (default: 0)")
    p.add_argument("--grids", type=int, default=20, metavar="N", help="how many (default: 20)")
    p.add_argument("--out", type=cli.path, metavar="DIR", help="a folder (default: samples/pi-CHECKPOINT-sSEED)")
    cli.add_overwrite(p)
    cli.add_backend(p)
    args = p.parse_args(argv)
    if not 1 <= args.grids <= 999:
        raise cli.UserError(f"--grids is {args.grids}: give 1 to 999")
    cli.check_seed(args.seed)
    cli.choose_backend(args.backend)
    from cganjax import compat, pixels, report, sampling

    generator = sampling.load(args.checkpoint)
    if generator.num_classes is None:
        raise cli.UserError(f"{args.checkpoint} takes no labels: give a conditional checkpoint")
    if generator.num_classes < 10:
        raise cli.UserError(f"{args.checkpoint} has {generator.num_classes} classes: expected 10, one for each digit")
    system = compat.AiGcMn(args.checkpoint, args.seed)
    out = args.out or Path("samples") / f"pi-{Path(args.checkpoint).name}-s{args.seed}"
    paths = [files.new_file(out / f"grid-{i:02d}.png", args.overwrite) for i in range(1, args.grids + 1)]
    for path in paths:
        images = pixels.signed_to_unit(system.generator([int(digit) for digit in PI]))
        report.save_grid(path, images.transpose(0, 2, 3, 1), 8, generator.spec)
    print(f"64 digits of pi from {args.checkpoint}, {len(paths)} times: {paths[0]} and on")
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
