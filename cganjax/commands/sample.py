"""Draw the digits asked for into a grid PNG, or an .npz of images and labels.

sample 3141592653 --out pi.png      one image a digit, in that order
sample --random 100                 random digits; of an unconditional checkpoint 100 images
sample --per-class 10               a row a class
sample                              asks: Input your number: 0 1 2 3
sample --checkpoint label-score     asks too, and prints the highest output of its discriminator for each image
"""

import io
import math
import sys
from pathlib import Path

from cganjax import cli, files

PROMPT = "Input your number: "


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument("digits", nargs="*", metavar="DIGITS", help="digits to draw, as 3141 or 3 1 4 1")
    p.add_argument(
        "--random", type=int, metavar="N", help="N images of random classes, or of none where there are none"
    )
    p.add_argument("--per-class", type=int, metavar="N", help="N images of each class, a row a class")
    p.add_argument(
        "--checkpoint", default="mnist", help="a shipped name, a run or a checkpoint folder (default: mnist)"
    )
    p.add_argument("--seed", type=int, default=0, help="the same seed draws the same images (default: 0)")
    p.add_argument(
        "--truncation", type=float, default=1.0, help="in (0, 1]; lower is more typical, less varied (default: 1)"
    )
    p.add_argument(
        "--columns", type=int, help="images a row of the grid (default: a row up to 10, else about a square)"
    )
    p.add_argument(
        "--out", type=Path, metavar="PATH", help="a .png or .npz file, or a folder (default: a new file in samples/)"
    )
    p.add_argument("--overwrite", action="store_true", help="replace the file where it exists")
    cli.add_backend(p)
    return p


def main(argv=None, prog: str = "python -m cganjax sample") -> int:
    """Draw what was asked for, or ask."""
    args = parser(prog).parse_args(argv)
    if sum(bool(x) for x in (args.digits, args.random is not None, args.per_class is not None)) > 1:
        raise cli.UserError("DIGITS, --random and --per-class were given together: give one of them")
    for flag, value in (("--random", args.random), ("--per-class", args.per_class), ("--columns", args.columns)):
        if value is not None and value < 1:
            raise cli.UserError(f"{flag} is {value}: give at least 1")
    if not 0 < args.truncation <= 1:
        raise cli.UserError(f"--truncation is {args.truncation}: give a number above 0, at most 1")
    cli.check_seed(args.seed)
    cli.choose_backend(args.backend)
    from cganjax import sampling

    generator = sampling.load(args.checkpoint)
    asks = not args.digits and args.random is None and args.per_class is None
    if generator.num_classes is None and args.random is None:
        what = f"DIGITS {' '.join(args.digits)}" if args.digits else "no count" if asks else "--per-class"
        raise cli.UserError(
            f"{args.checkpoint} takes no labels and {what} was given: give --random N, the number of images"
        )
    return _ask(args, generator) if asks else _draw(args, generator)


def _draw(args, generator) -> int:
    import jax
    import numpy as np

    from cganjax import rng, sampling

    classes, key = generator.num_classes, rng.root(args.seed)
    if args.digits:
        labels, name = parse_digits(" ".join(args.digits), classes), "".join("".join(args.digits).split())[:20]
        columns = len(labels) if len(labels) <= 10 else math.ceil(math.sqrt(len(labels)))
    elif args.random is not None:
        labels = None
        if classes is not None:
            labels = np.asarray(jax.random.randint(rng.stream(key, "labels"), (args.random,), 0, classes))
        columns, name = args.random if args.random <= 10 else math.ceil(math.sqrt(args.random)), f"random-{args.random}"
    else:
        labels, columns = np.repeat(np.arange(classes), args.per_class), args.per_class
        name = f"per-class-{args.per_class}"
    path = _out_file(args, f"{generator.card['name']}-{name}")
    n = args.random if labels is None else None
    images = np.asarray(sampling.sample_from(generator, key, labels, n=n, truncation=args.truncation))
    _write(path, images, labels, args.columns or columns)
    print(f"{len(images)} images from {generator.card['name']}: {path}")
    return cli.DONE


def _ask(args, generator) -> int:
    """Prompt for digits until an empty line or the end of input; each image goes to a PNG and to the terminal.

    A checkpoint whose discriminator classifies also says that one's highest output on each image, as the original did.
    """
    import jax
    import numpy as np

    from cganjax import report, rng, sampling

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # where the terminal has no block characters, "?" is ink
    folder = args.out or Path("samples")
    if folder.suffix and not folder.is_dir():
        raise cli.UserError(f"--out is {folder}: give a folder for the images of the prompt, or give the digits")
    files.writable_folder(folder)
    discriminator = None
    if {"generator", "discriminator", "classifier"} <= {*generator.card["roles"]}:
        discriminator = sampling.load_discriminator(args.checkpoint)
    key, turn = rng.stream(rng.root(args.seed), "prompt"), 0
    while True:
        try:
            text = input(PROMPT)
        except EOFError:
            text = ""
        if not text.strip():
            print()
            return cli.DONE
        try:
            labels = parse_digits(text, generator.num_classes)
        except cli.UserError as error:
            print(error)
            continue
        turn_key = jax.random.fold_in(key, turn)
        images = np.asarray(sampling.sample_from(generator, turn_key, labels, truncation=args.truncation))
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = unused(folder / f"{label}-s{args.seed}-{turn}-{i}.png", args.overwrite)
            report.save_png(path, report.grid(image[None], 1), scale=4)
            says = ""
            if discriminator:
                outputs = np.asarray(discriminator(image[None]))[0]
                says = f", D's highest output {outputs.max():.4f} (class {outputs.argmax()})"
            print(f"{report.blocks(image)}\n{label}: {path}{says}\n")
        turn += 1


def parse_digits(text: str, num_classes: int):
    """Labels int32 [N] from text: digits run together or apart; above 10 classes, numbers apart by spaces or commas."""
    import numpy as np

    words = text.replace(",", " ").split()
    if num_classes <= 10:
        words = list("".join(words))
    if not words:
        raise cli.UserError(f"{text!r} holds no label: give digits in 0..{num_classes - 1}, such as 0 1 2 3")
    for i, word in enumerate(words):
        if not (word.isascii() and word.isdigit()):
            raise cli.UserError(
                f"{word!r} at position {i} is no label: give digits in 0..{num_classes - 1}, such as 0 1 2 3"
            )
        if int(word) >= num_classes:
            raise cli.UserError(f"label {word} at position {i} is outside 0..{num_classes - 1}")
    return np.array([int(word) for word in words], np.int32)


def _out_file(args, name: str) -> Path:
    if args.out is None or args.out.is_dir() or (not args.out.suffix and not args.out.is_file()):
        folder = files.writable_folder(args.out or Path("samples"))
        return unused(folder / f"{name}-s{args.seed}.png", args.overwrite)
    if args.out.suffix.lower() not in (".png", ".npz"):
        raise cli.UserError(f"--out is {args.out}: give a name that ends in .png or .npz, or a folder")
    return files.new_file(args.out, args.overwrite)


def unused(path: Path, overwrite: bool) -> Path:
    """The path, or where it is taken the first of its name with a number that is not."""
    if overwrite:
        return path
    numbered = (path.with_stem(f"{path.stem}-{i}") for i in range(2, 1_000_000))
    return path if not path.exists() else next(p for p in numbered if not p.exists())


def _write(path: Path, images, labels, columns: int) -> None:
    import numpy as np

    from cganjax import report

    if path.suffix.lower() == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=images, **({} if labels is None else {"labels": labels}))
        files.write_file(path, buffer.getvalue())
    else:
        report.save_png(path, report.grid(images, min(columns, len(images))))


if __name__ == "__main__":
    sys.exit(cli.execute(main))
