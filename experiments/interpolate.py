"""A generator's latent space, in pictures and figures: `python -m experiments.interpolate --out docs/results/latent`.

latents.png           from one latent to another, a row a class
classes.png           from one class to the next at one latent, which stays the same in all rows
handwriting.png       one latent in every class, a row a latent: the hand stays, the digit changes
truncation.png        latents scaled towards 0, a row a truncation: more typical, less varied
truncation.csv        accuracy, precision, recall, density, coverage, Frechet and pixel std of --samples images for each
                      truncation; truncation-curve.png draws precision against recall
handwriting.csv       how far ink, slant and width of two classes go together over latents that they share, and over
                      latents of their own: correlations, mean and standard deviation over the pairs of classes

Between latents the way is a great circle (White, arXiv 1609.04468): half-way on a straight line latents would be
shorter than nearly all that were trained on. Figures are those of `cganjax.evaluate`, against the shipped features of
MNIST's test images.
"""

import math
import sys
from pathlib import Path

import numpy as np

from cganjax import cli, files
from experiments.evaluate import check_comparable

TRUNCATIONS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FIGURES = ("accuracy", "precision", "recall", "density", "coverage", "frechet", "pixel_std")
STEPS = 12  # pictures on the way from one end to the other
ROWS = 8  # latents of a sheet
LATENTS = 1000  # of handwriting.csv, each in every class


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.interpolate", description=__doc__)
    p.add_argument(
        "checkpoint",
        nargs="?",
        default="mnist",
        metavar="CHECKPOINT",
        help="a conditional generator: a shipped name or a run (default: mnist)",
    )
    p.add_argument(
        "--truncations",
        type=float,
        nargs="+",
        default=TRUNCATIONS,
        metavar="T",
        help=f"in (0, 1] (default: {' '.join(map(str, TRUNCATIONS))})",
    )
    p.add_argument(
        "--samples",
        type=int,
        default=10_000,
        metavar="N",
        help="images for each truncation; 0 leaves the figures out (default: 10000)",
    )
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
    from cganjax import evaluation, report, rng, sampling

    generator = sampling.load(args.checkpoint)
    classes = generator.num_classes
    if classes is None or classes < 2:
        raise cli.UserError(
            f"{args.checkpoint} has no classes to go between: give a conditional generator of two or more"
        )
    if args.samples:
        check_comparable(
            args.checkpoint, generator, evaluation.EXTRACTOR, sampling.load_classifier(evaluation.EXTRACTOR)
        )
    folder = args.out or Path("runs") / f"latent-{generator.card['name']}"
    names = ["latents.png", "classes.png", "handwriting.png", "truncation.png"]
    names += ["handwriting.csv", "truncation.csv", "truncation-curve.png"] if args.samples else []
    paths = [files.new_file(folder / name, args.overwrite) for name in names]
    key = rng.root(args.seed)

    def latents(name: str, n: int) -> np.ndarray:
        return np.asarray(sampling.latents(rng.stream(key, name), n, generator.latent_size))

    sheets = {
        "latents.png": (between_latents(generator, latents("ends", 2 * classes)), STEPS),
        "classes.png": (between_classes(generator, latents("classes", 1)), STEPS),
        "handwriting.png": (one_latent_each_row(generator, latents("handwriting", ROWS)), classes),
    }
    for name, (images, columns) in sheets.items():
        report.save_png(folder / name, report.grid(np.asarray(images), columns))
    sizes = sorted(args.truncations)
    sheet = truncated(generator, latents("truncation", STEPS), sizes)
    report.save_sheet(folder / "truncation.png", sheet, [[""] * STEPS] * len(sizes), [f"{t:g}" for t in sizes])
    if args.samples:
        try:
            handwriting(generator, latents("shared", LATENTS), latents("own", LATENTS * classes), folder)
            truncations(generator, rng.stream(key, "figures"), sizes, args.samples, folder)
        except ValueError as error:  # as of a generator whose images are all alike, or no numbers
            raise cli.UserError(
                f"{args.checkpoint} cannot be measured ({error}): --samples 0 draws the sheets alone"
            ) from error
    print("\n".join(map(str, paths)))
    return cli.DONE


# --- sheets: a generator and latents [N, L] give images in rows -------------------------------------------------------


def slerp(a, b, t: float):
    """From a [L] to b [L] along a great circle, t in 0..1; its length goes from that of a to that of b."""
    size_a, size_b = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(np.dot(a / size_a, b / size_b), -1.0, 1.0))
    if np.sin(angle) < 1e-6:  # on one line there is no circle
        return (1 - t) * a + t * b
    direction = (np.sin((1 - t) * angle) * a / size_a + np.sin(t * angle) * b / size_b) / np.sin(angle)
    return direction * ((1 - t) * size_a + t * size_b)


def between_latents(generator, z):
    """A row a class, each from a latent of its own to another, two of z [2 K, L]: [K * STEPS, H, W, C]."""
    ways = [[slerp(a, b, t) for t in np.linspace(0, 1, STEPS)] for a, b in zip(z[::2], z[1::2], strict=True)]
    return generator(np.concatenate(ways), np.repeat(np.arange(len(ways)), STEPS))


def between_classes(generator, z):
    """A row a class, each from it to the next, at the one latent z [1, L] for all: [K * STEPS, H, W, C]."""
    classes, t = generator.num_classes, np.linspace(0, 1, STEPS)[:, None]
    one = np.eye(classes)
    weights = np.concatenate([(1 - t) * one[k] + t * one[(k + 1) % classes] for k in range(classes)])
    return generator.between(np.repeat(z, len(weights), axis=0), weights)


def one_latent_each_row(generator, z):
    """A row a latent of z [N, L], in every class: [N * K, H, W, C]."""
    classes = generator.num_classes
    return generator(np.repeat(z, classes, axis=0), np.tile(np.arange(classes), len(z)))


def truncated(generator, z, sizes):
    """A row a truncation, in each the latents z [N, L], half of them in one class, half in another: [R, N, H, W, C]."""
    two = (2, 7) if generator.num_classes > 7 else (0, generator.num_classes - 1)
    labels = np.repeat(two, len(z) // 2)
    return np.stack([np.asarray(generator(z * np.float32(size), labels)) for size in sizes])


# --- figures ----------------------------------------------------------------------------------------------------------


def handwriting(generator, one, own, folder: Path) -> None:
    """Correlations of style over latents `one` [N, L] that all classes share, and `own` [N * K, L] of each image."""
    from cganjax.evaluation.metrics import handwriting as metric

    n, classes = len(one), generator.num_classes
    table = []
    for name, z in (("one latent in all classes", np.repeat(one, classes, axis=0)), ("a latent each", own)):
        styles = metric.style(np.asarray(generator(z, np.tile(np.arange(classes), n))))
        pairs = metric.correlations(styles.reshape(n, classes, len(metric.STYLE)))
        table.append((name, n, *(f(pairs[style]) for style in metric.STYLE for f in (np.mean, np.std))))
        said = ", ".join(f"{style} {pairs[style].mean():.2f} +- {pairs[style].std():.2f}" for style in metric.STYLE)
        print(f"{name}: correlation of two classes' {said}", flush=True)
    header = [column for style in metric.STYLE for column in (style, f"{style}_std")]
    files.write_csv(folder / "handwriting.csv", ("latents", "n", *header), table)


def truncations(generator, key, sizes, samples: int, folder: Path) -> None:
    """Figures of each truncation, as a table and as a curve of precision and recall."""
    import cganjax
    from cganjax import report, sampling

    labels = np.arange(samples) % generator.num_classes
    table = []
    for size in sizes:
        images = sampling.sample_from(generator, key, labels, truncation=size)
        found = cganjax.evaluate(np.asarray(images), labels, metrics=["accuracy", "diversity", "frechet", "prdc"])
        table.append((size, *(found[name] for name in FIGURES)))
        real = found["rows"]["real images"]
        print(f"truncation {size:g}: " + ", ".join(f"{name} {found[name]:.3f}" for name in FIGURES), flush=True)
    files.write_csv(folder / "truncation.csv", ("truncation", *FIGURES), table, places=4)
    precision, recall = (FIGURES.index(name) + 1 for name in ("precision", "recall"))
    none = [math.nan] * len(table)
    report.save_lines(
        folder / "truncation-curve.png",
        [*(row[recall] for row in table), real["recall"]],
        [
            ("truncation", [*(row[precision] for row in table), math.nan], {}),
            ("training images in place of generated ones", [*none, real["precision"]], {"linestyle": "none"}),
        ],
        x="recall: share of real images near generated ones",
        y="precision: share of generated images near real ones",
        title=f"{generator.card['name']}: quality against diversity",
        names=[*(f"{size:g}" for size in sizes), ""],
    )


if __name__ == "__main__":
    sys.exit(cli.execute(main))
