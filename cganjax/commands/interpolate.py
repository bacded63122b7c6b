"""Show a generator's latent space in pictures and figures: `interpolate mnist --out docs/results/latent`.

latents.png           from one latent to another, one row per class
classes.png           from one class to the next, with one latent in all rows
handwriting.png       one row per latent, in every class: the style stays, the class changes
truncation.png        latents scaled towards 0, one row per truncation: more typical, less varied
truncation.csv        accuracy, precision, recall, density, coverage, Frechet distance and pixel std of --samples images
                      for each truncation; truncation-curve.png draws precision against recall
handwriting.csv       of grey images: how ink, slant and width of two classes correlate over latents that the classes
                      share, and over separate latents: mean and standard deviation over the pairs of classes

With --classes "ankle boot, bag, coat" the sheets show these classes alone, in that order.

Between latents the path is a great circle (White, arXiv 1609.04468): half-way along a straight line, latents would be
shorter than nearly all those of the training. The figures are those of `cganjax.evaluate`, against the reference that
is stored beside the extractor.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

from cganjax import checkpoint as ckpt
from cganjax import cli, files
from cganjax.commands._class_labels import parse_labels
from cganjax.commands.sample import file_stem, shown
from cganjax.waiting import Waiting

TRUNCATIONS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FIGURES = ("accuracy", "precision", "recall", "density", "coverage", "frechet", "pixel_std")
METRICS = ("accuracy", "diversity", "frechet", "prdc")
ROWS = 8  # latents of a sheet
LATENTS = 1000  # of handwriting.csv, each in every class
MOST = 20  # classes that are drawn, and compared in handwriting.csv: the first


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument(
        "checkpoint",
        type=cli.name_or_path,
        nargs="?",
        default=ckpt.DEFAULT,
        metavar="CHECKPOINT",
        help=f"a conditional generator: a shipped name or a run (default: {ckpt.DEFAULT})",
    )
    p.add_argument(
        "--classes",
        metavar="CLASSES",
        help="two or more classes to draw and compare, by name or number, as for sample (default: all, of more than "
        f"{MOST} the first {MOST})",
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
    p.add_argument(
        "--extractor",
        type=cli.name_or_path,
        metavar="CLASSIFIER",
        help="the classifier whose features are compared, with a reference by cganjax reference (default: the shipped "
        "one for such images)",
    )
    p.add_argument(
        "--classifier",
        type=cli.name_or_path,
        metavar="CLASSIFIER",
        help="the reference classifier, for the accuracy (default: the shipped one for such images, if any)",
    )
    p.add_argument("--seed", type=int, default=0, help="of the latents (default: 0)")
    p.add_argument("--out", type=cli.path, metavar="DIR", help="a folder (default: runs/latent-CHECKPOINT)")
    cli.add_overwrite(p)
    cli.add_backend(p)
    return p


def main(argv=None, prog: str = "python -m cganjax interpolate") -> int:
    """Draw the sheets, then measure."""
    args = parser(prog).parse_args(argv)
    _check(args)
    cli.choose_backend(args.backend)
    from cganjax import memory, rng, sampling
    from cganjax.evaluation import Unmeasurable

    generator = sampling.load(args.checkpoint)
    if generator.num_classes is None or generator.num_classes < 2:
        raise cli.UserError(
            f"{args.checkpoint} has no classes to go between: give a conditional generator of two or more"
        )
    drawn = generator if args.classes is None else _some(generator, args.classes)
    memory.check_images(f"--samples is {args.samples}", args.samples, generator.image_shape)
    chosen = _networks(args, generator) if args.samples else None
    folder = args.out or Path("runs") / f"latent-{file_stem(generator.card['name'])}"
    names = ["latents.png", "classes.png", "handwriting.png", "truncation.png"]
    if args.samples:
        names += ["handwriting.csv"] * (generator.spec.channels == 1) + ["truncation.csv", "truncation-curve.png"]
    paths = [files.new_file(folder / name, args.overwrite) for name in names]
    key, sizes = rng.root(args.seed), sorted(args.truncations)
    with Waiting("compiling, and generating the sheets"):
        _draw_sheets(drawn, key, sizes, folder)
    if args.samples:
        try:
            if generator.spec.channels == 1:
                handwriting(drawn, key, folder)
            truncations(generator, rng.stream(key, "figures"), sizes, args.samples, folder, chosen)
        except Unmeasurable as error:  # as of a generator whose images are all alike, or NaN
            raise cli.UserError(
                f"{args.checkpoint} cannot be measured ({error}): --samples 0 draws the sheets alone"
            ) from error
    print("\n".join(map(str, paths)))
    return cli.DONE


class _Some(NamedTuple):
    """A generator of some of its classes: label k here is label classes[k] there."""

    generator: Any
    classes: Any  # int [K]

    @property
    def spec(self):
        names = self.generator.spec.class_names
        return self.generator.spec._replace(class_names=tuple(names[k] for k in self.classes))

    def __getattr__(self, name: str) -> Any:  # of what the classes do not change
        return getattr(self.generator, name)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def __call__(self, z, labels):
        return self.generator(z, self.classes[labels])

    def between(self, z, weights):
        import numpy as np

        there = np.zeros((len(weights), self.generator.num_classes))
        there[:, self.classes] = weights
        return self.generator.between(z, there)


def _some(generator, text: str) -> _Some:
    """The generator of the classes in a text, each once."""
    import numpy as np

    classes = np.array([*dict.fromkeys(parse_labels(text, generator.spec.class_names).tolist())])
    if len(classes) < 2:
        raise cli.UserError(f"--classes is {text!r}: give at least two different classes")
    return _Some(generator, classes)


def _check(args) -> None:
    cli.check_seed(args.seed)
    if not all(0 < t <= 1 for t in args.truncations):
        raise cli.UserError(f"--truncations has {', '.join(map(str, args.truncations))}: give numbers in (0, 1]")
    if args.samples < 0 or 0 < args.samples < 1000:
        raise cli.UserError(f"--samples is {args.samples}: give at least 1000, or 0 to leave the figures out")


def _networks(args, generator):
    """The networks that measure, with a stored reference."""
    from cganjax.evaluation import networks, reference

    chosen = networks.choose({args.checkpoint: generator}, args.extractor, args.classifier)
    if reference.read(chosen.folder, chosen.extractor) is None:
        name = args.extractor or chosen.extractor.card["name"]
        raise cli.UserError(
            f"{name} has no stored reference: make one by cganjax reference --extractor {name}, or leave the figures "
            "out by --samples 0"
        )
    return chosen


def _latents(generator, key, name: str, n: int):
    import numpy as np

    from cganjax import rng, sampling

    return np.asarray(sampling.latents(rng.stream(key, name), n, generator.latent_size))


def _draw_sheets(generator, key, sizes, folder: Path) -> None:
    import numpy as np

    from cganjax import report
    from cganjax.evaluation import latent

    classes = generator.num_classes
    rows = min(classes, MOST)
    ways = latent.between_classes(generator, _latents(generator, key, "classes", 1))[: rows * latent.STEPS]
    every = np.asarray(latent.one_latent_each_row(generator, _latents(generator, key, "handwriting", ROWS)))
    every = every.reshape(ROWS, classes, *generator.image_shape)[:, :MOST].reshape(-1, *generator.image_shape)
    ends = _latents(generator, key, "ends", 2 * classes)[: 2 * rows]
    spec, called = generator.spec, generator.card["name"]
    names = [report.short(name) for name in spec.class_names]
    ends_of_rows = [f"{names[k]} to {names[(k + 1) % classes]}" for k in range(rows)]
    from_to = f"{called}: from one latent (left) to another (right), one row per class"
    report.save_grid(
        folder / "latents.png",
        np.asarray(latent.between_latents(generator, ends)),
        latent.STEPS,
        spec,
        row_names=names[:rows],
        title=from_to,
    )
    title = f"{called}: from one class to the next, with the same latent in all rows"
    report.save_grid(folder / "classes.png", np.asarray(ways), latent.STEPS, spec, row_names=ends_of_rows, title=title)
    report.save_grid(
        folder / "handwriting.png",
        every,
        rows,
        spec,
        row_names=[f"latent {i + 1}" for i in range(ROWS)],
        column_names=names[:rows],
        title=f"{called}: one latent per row, in every class",
    )
    sheet = latent.truncated(generator, _latents(generator, key, "truncation", latent.STEPS), sizes)
    report.save_sheet(
        folder / "truncation.png",
        sheet,
        [[""] * latent.STEPS] * len(sizes),
        [f"truncation {t:g}" for t in sizes],
        title=f"{called}: latents multiplied by the truncation at the left, one latent per column",
        spec=spec,
    )


# --- figures ----------------------------------------------------------------------------------------------------------


def handwriting(generator, key, folder: Path) -> None:
    """Correlations of style between classes, over latents that all classes share and over separate ones."""
    import numpy as np

    from cganjax.evaluation.metrics import handwriting as metric

    n, classes = LATENTS, min(generator.num_classes, MOST)
    one, own = _latents(generator, key, "shared", n), _latents(generator, key, "own", n * classes)
    table = []
    for name, z in (("one latent in all classes", np.repeat(one, classes, axis=0)), ("one latent per class", own)):
        images = np.asarray(generator(z, np.tile(np.arange(classes), n)))
        # The style is that of the ink, which is the dark part of images of dark on light.
        styles = metric.style(images if generator.spec.inverted else 1 - images)
        pairs = metric.correlations(styles.reshape(n, classes, len(metric.STYLE)))
        table.append((name, n, *(f(pairs[style]) for style in metric.STYLE for f in (np.mean, np.std))))
        said = ", ".join(f"{style} {pairs[style].mean():.2f} +- {pairs[style].std():.2f}" for style in metric.STYLE)
        print(f"{name}: correlation of two classes' {said}", flush=True)
    header = [column for style in metric.STYLE for column in (style, f"{style}_std")]
    files.write_csv(folder / "handwriting.csv", ("latents", "n", *header), table)


def truncations(generator, key, sizes, samples: int, folder: Path, chosen) -> None:
    """Figures of each truncation, as a table and as a curve of precision and recall."""
    import numpy as np

    from cganjax import evaluation, sampling

    reference = evaluation.reference.read(chosen.folder, chosen.extractor)
    classified = chosen.classifier is not None
    metrics, left_out = evaluation.fitting(METRICS, False, True, reference, spec=generator.spec, classified=classified)
    for name, why in left_out.items():
        print(f"{name} is left out: it {why.replace('classifier=', '--classifier')}")
    if "prdc" in left_out:
        raise evaluation.Unmeasurable(f"prdc, whose figures are drawn, {left_out['prdc']}")
    labels = np.arange(samples) % generator.num_classes
    table = []
    for size in sizes:
        images = np.asarray(sampling.sample_from(generator, key, labels, truncation=size, on_rows=shown(len(labels))))
        with Waiting(f"truncation {size:g}: measuring"):
            images, _ = evaluation.check_given(images, labels, generator.image_shape, generator.num_classes)
            found = evaluation.measure(images, labels, reference, chosen.extractor, chosen.classifier, metrics).figures
        columns = [name for name in FIGURES if name in found]
        table.append((size, *(found[name] for name in columns)))
        print(f"truncation {size:g}: " + ", ".join(f"{name} {found[name]:.3f}" for name in columns), flush=True)
    files.write_csv(folder / "truncation.csv", ("truncation", *columns), table, places=4)
    _draw_curve(folder / "truncation-curve.png", generator, sizes, columns, table, reference)


def _draw_curve(path: Path, generator, sizes, columns, table, reference) -> None:
    from cganjax import report

    precision, recall = (columns.index(name) + 1 for name in ("precision", "recall"))
    x, y = [row[recall] for row in table], [row[precision] for row in table]
    names, lines = [f"{size:g}" for size in sizes], [("truncation", y, {})]
    real = reference.rows.get("real images", {})
    if "recall" in real:
        x, names = [*x, real["recall"]], [*names, ""]
        lines = [
            ("truncation", [*y, math.nan], {}),
            (
                "training images instead of generated ones",
                [*([math.nan] * len(y)), real["precision"]],
                {"linestyle": "none"},
            ),
        ]
    report.save_lines(
        path,
        x,
        lines,
        x="recall: fraction of real images near generated ones",
        y="precision: fraction of generated images near real ones",
        title=f"{generator.card['name']}: quality against diversity",
        names=names,
    )
