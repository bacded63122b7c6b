"""A generator's latent space, in pictures and figures: `python -m experiments.interpolate --out docs/latent`.

latents.png           from one latent to another, a row a class
classes.png           from one class to the next at one latent, which stays the same in all rows
handwriting.png       one latent in every class, a row a latent: the hand stays, the digit changes
truncation.png        latents scaled towards 0, a row a truncation: more typical, less varied
truncation.csv        accuracy, precision, recall, density, coverage, Frechet and pixel std of --samples images for each
                      truncation; truncation-curve.png draws precision against recall
handwriting.csv       how far ink, slant and width of two classes go together over latents that they share, and over
                      latents of their own

Between latents the way is a great circle (White, arXiv 1609.04468): on a straight line latents would be shorter than
any that were trained on. Figures are those of `cganjax.evaluate`, against the test images that are shipped.
"""

import sys
from pathlib import Path

import numpy as np

from cganjax import cli, files

TRUNCATIONS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FIGURES = ("accuracy", "precision", "recall", "density", "coverage", "frechet", "pixel_std")
STEPS = 12  # pictures on the way from one end to the other
ROWS = 8  # latents of a sheet
LATENTS = 1000  # of handwriting.csv


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.interpolate", description=__doc__)
    p.add_argument("checkpoint", nargs="?", default="mnist", metavar="CHECKPOINT",
                   help="a conditional generator: a shipped name or a run (default: mnist)")  # fmt: skip
    p.add_argument("--truncations", type=float, nargs="+", default=TRUNCATIONS, metavar="T",
                   help=f"in (0, 1] (default: {' '.join(map(str, TRUNCATIONS))})")  # fmt: skip
    p.add_argument("--samples", type=int, default=10_000, metavar="N",
                   help="images for each truncation; 0 leaves the figures out (default: 10000)")  # fmt: skip
    p.add_argument("--seed", type=int, default=0, help="of the latents (default: 0)")
    p.add_argument("--out", type=Path, metavar="DIR", help="a folder (default: runs/latent-CHECKPOINT)")
    cli.add_overwrite(p)
    cli.add_backend(p)
    return p


def main(argv=None) -> int:
    """Draw the sheets, then measure."""
    args = parser().parse_args(argv)
    cli.check_seed(args.seed)
    if not all(0 < t <= 1 for t in args.truncations):
        raise cli.UserError(f"--truncations has {', '.join(map(str, args.truncations))}: give numbers in (0, 1]")
    if args.samples < 0 or 0 < args.samples < 1000:
        raise cli.UserError(f"--samples is {args.samples}: give at least 1000, or 0 to leave the figures out")
    cli.choose_backend(args.backend)
    from cganjax import report, rng, sampling

    generator = sampling.load(args.checkpoint)
    if generator.num_classes is None or generator.num_classes < 2:
        raise cli.UserError(f"{args.checkpoint} takes no labels: give a conditional generator")
    folder = args.out or Path("runs") / f"latent-{generator.card['name']}"
    names = ["latents.png", "classes.png", "handwriting.png", "truncation.png"]
    names += ["handwriting.csv", "truncation.csv", "truncation-curve.png"] if args.samples else []
    paths = [files.new_file(folder / name, args.overwrite) for name in names]
    key = rng.root(args.seed)

    sheets = {
        "latents.png": (between_latents(key, generator), STEPS),
        "classes.png": (between_classes(key, generator), STEPS),
        "handwriting.png": (one_latent_each_row(key, generator), generator.num_classes),
    }
    for name, (images, columns) in sheets.items():
        report.save_png(folder / name, report.grid(np.asarray(images), columns))
    sizes = sorted(args.truncations)
    sheet = truncated(key, generator, sizes)
    report.save_sheet(folder / "truncation.png", sheet, [[""] * sheet.shape[1]] * len(sizes), [f"{t:g}" for t in sizes])
    if args.samples:
        handwriting(key, generator, folder / "handwriting.csv")
        truncations(key, generator, sizes, args.samples, folder)
    print("\n".join(map(str, paths)))
    return cli.DONE


# --- sheets: images in rows, float [rows * columns, H, W, C] ----------------------------------------------------------


def slerp(a, b, t: float):
    """From a [L] to b [L] along a great circle, t in 0..1; its length goes from that of a to that of b."""
    size_a, size_b = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(np.dot(a / size_a, b / size_b), -1.0, 1.0))
    if np.sin(angle) < 1e-6:  # on one line there is no circle
        return (1 - t) * a + t * b
    direction = (np.sin((1 - t) * angle) * a / size_a + np.sin(t * angle) * b / size_b) / np.sin(angle)
    return direction * ((1 - t) * size_a + t * size_b)


def between_latents(key, generator):
    """A row a class, each from a latent of its own to another."""
    from cganjax import rng, sampling

    classes, size = generator.num_classes, generator.latent_size
    ends = np.asarray(sampling.latents(rng.stream(key, "ends"), 2 * classes, size)).reshape(classes, 2, size)
    z = np.concatenate([[slerp(a, b, t) for t in np.linspace(0, 1, STEPS)] for a, b in ends])
    return generator(z, np.repeat(np.arange(classes), STEPS))


def between_classes(key, generator):
    """A row a class, each from it to the next, at one latent for all."""
    from cganjax import rng, sampling

    classes, t = generator.num_classes, np.linspace(0, 1, STEPS)[:, None]
    one = np.eye(classes)
    weights = np.concatenate([(1 - t) * one[k] + t * one[(k + 1) % classes] for k in range(classes)])
    z = np.repeat(
        np.asarray(sampling.latents(rng.stream(key, "classes"), 1, generator.latent_size)), len(weights), axis=0
    )
    return generator.between(z, weights)


def one_latent_each_row(key, generator):
    """A row a latent, in every class."""
    from cganjax import rng, sampling

    z = np.asarray(sampling.latents(rng.stream(key, "handwriting"), ROWS, generator.latent_size))
    return generator(np.repeat(z, generator.num_classes, axis=0), np.tile(np.arange(generator.num_classes), ROWS))


def truncated(key, generator, sizes):
    """A row a truncation, the same latents of two classes in each: [rows, STEPS, H, W, C]."""
    from cganjax import rng, sampling

    labels = np.repeat([2 % generator.num_classes, 7 % generator.num_classes], STEPS // 2)
    z = np.asarray(sampling.latents(rng.stream(key, "truncation"), len(labels), generator.latent_size))
    return np.stack([np.asarray(generator(z * np.float32(size), labels)) for size in sizes])


# --- figures ----------------------------------------------------------------------------------------------------------


def handwriting(key, generator, path: Path) -> None:
    """Correlations of style over latents that classes share, and over latents of each image's own."""
    from cganjax import rng, sampling
    from cganjax.metrics import handwriting as metric

    classes = generator.num_classes
    labels = np.tile(np.arange(classes), LATENTS)
    z = np.asarray(sampling.latents(rng.stream(key, "shared"), LATENTS, generator.latent_size))
    own = np.asarray(sampling.latents(rng.stream(key, "own"), LATENTS * classes, generator.latent_size))
    rows = []
    for name, latents in (("one latent in all classes", np.repeat(z, classes, axis=0)), ("a latent each", own)):
        styles = metric.style(np.asarray(generator(latents, labels))).reshape(LATENTS, classes, len(metric.STYLE))
        found = metric.shared(styles)
        rows.append((name, *found.values()))
        print(f"{name}: correlation of two classes' " + ", ".join(f"{k} {v:.2f}" for k, v in found.items()), flush=True)
    files.write_csv(path, ("latents", *metric.STYLE), rows)


def truncations(key, generator, sizes, samples: int, folder: Path) -> None:
    """Figures of each truncation, as a table and as a curve of precision and recall."""
    import cganjax
    from cganjax import report, rng, sampling

    labels = np.arange(samples) % generator.num_classes
    table = []
    for size in sizes:
        images = sampling.sample_from(generator, rng.stream(key, "figures"), labels, truncation=size)
        found = cganjax.evaluate(np.asarray(images), labels, metrics=["accuracy", "diversity", "frechet", "prdc"])
        table.append((size, *(found[name] for name in FIGURES)))
        print(f"truncation {size:g}: " + ", ".join(f"{name} {found[name]:.3f}" for name in FIGURES), flush=True)
    files.write_csv(folder / "truncation.csv", ("truncation", *FIGURES), table, places=4)
    precision, recall = (FIGURES.index(name) + 1 for name in ("precision", "recall"))
    report.save_lines(
        folder / "truncation-curve.png", [row[recall] for row in table],
        [("truncation " + ", ".join(f"{size:g}" for size in sizes), [row[precision] for row in table], {})],
        x="recall: share of real images near generated ones", y="precision: share of generated images near real ones",
        title=f"{generator.card['name']}: quality against diversity",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(cli.execute(main))
