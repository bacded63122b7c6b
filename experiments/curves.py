"""Draw a part of a run's curves: `python -m experiments.curves runs/label_map-s0 --to 937` draws the first epoch."""

import sys

from cganjax import cli, files, metrics_lines, report, run_folder


def main(argv=None) -> int:
    """Read the run's metrics, and draw the steps that were asked for."""
    p = cli.Parser(prog="python -m experiments.curves", description=__doc__)
    p.add_argument("run", type=cli.path, metavar="RUN", help="a run folder")
    p.add_argument("--from", dest="first", type=int, default=0, metavar="STEP", help="first step (default: 0)")
    p.add_argument("--to", dest="last", type=int, metavar="STEP", help="last step (default: the last one of the run)")
    p.add_argument("--out", type=cli.path, metavar="PNG", help="a file (default: RUN/curves-FIRST-LAST.png)")
    cli.add_overwrite(p)
    args = p.parse_args(argv)
    if args.first < 0 or (args.last is not None and args.last < args.first):
        raise cli.UserError(f"--from is {args.first} and --to is {args.last}: give 0 or more, and no later --from")
    if args.out is not None and args.out.suffix.lower() != ".png":
        raise cli.UserError(f"--out is {args.out}: give a name that ends in .png")
    if not (args.run / run_folder.METRICS).is_file():
        raise cli.UserError(f"{args.run} holds no {run_folder.METRICS}: give a run folder")
    rows = metrics_lines.read(args.run)
    last = rows[-1]["step"] if args.last is None and rows else args.last or 0
    rows = [row for row in rows if args.first <= row["step"] <= last]
    if not rows:
        raise cli.UserError(f"{args.run} has no metrics of steps {args.first} to {last}: choose other steps")
    path = files.new_file(args.out or args.run / f"curves-{args.first}-{last}.png", args.overwrite)
    report.save_curves(path, rows, f"{args.run.name}, step {args.first} to {last}")
    print(path)
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
