"""Generate images of the classes asked for: a grid as a PNG, or an .npz file of images and labels.

sample 3141592653 --out pi.png      one image of each class in that order, by numbers
sample --checkpoint runs/mine "polar bear, cat"   by names, if the checkpoint's classes have names
sample --random 100                 images of random classes; of an unconditional checkpoint just 100 images
sample --per-class 10               10 images of each class
sample                              asks: Input your number: 0 1 2 3 (or for class names)
sample --checkpoint label-score     asks too, and prints the highest output of its discriminator for each image
"""

import contextlib
import functools
import io
import itertools
import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cganjax import checkpoint as ckpt
from cganjax import cli, files
from cganjax.commands._class_labels import file_name_of, parse_digits, parse_labels

__all__ = ["main", "parse_digits", "parse_labels", "parser"]
PROMPT, PROMPT_FOR_NAMES = "Input your number: ", "Input your classes: "
SHOWN = 1000  # images that take so long that progress is shown
MOST_ROWS = 32  # classes that have a row of the grid each


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument(
        "classes",
        nargs="*",
        metavar="CLASS",
        help='classes to generate: numbers, as 3141 or 3 1 4 1, or names, as "polar bear, cat"',
    )
    p.add_argument(
        "--random",
        type=int,
        metavar="N",
        help="N images of random classes, or just N images of a checkpoint without classes",
    )
    p.add_argument("--per-class", type=int, metavar="N", help="N images of each class")
    p.add_argument(
        "--checkpoint",
        type=cli.name_or_path,
        default=ckpt.DEFAULT,
        help=f"a shipped name, a run folder or a checkpoint folder (default: {ckpt.DEFAULT})",
    )
    p.add_argument("--seed", type=int, default=0, help="the same seed gives the same images (default: 0)")
    p.add_argument(
        "--truncation", type=float, default=1.0, help="in (0, 1]; lower is more typical, less varied (default: 1)"
    )
    p.add_argument(
        "--columns",
        type=int,
        help="images per row of the grid (default: one row up to 10 images, about a square above)",
    )
    p.add_argument(
        "--out",
        type=cli.path,
        metavar="PATH",
        help="a .png or .npz file, or a folder (default: a file in samples/)",
    )
    p.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    cli.add_backend(p)
    return p


def main(argv=None, prog: str = "python -m cganjax sample") -> int:
    """Generate what was asked for, or ask."""
    args = parser(prog).parse_args(argv)
    if sum(bool(x) for x in (args.classes, args.random is not None, args.per_class is not None)) > 1:
        raise cli.UserError("CLASS, --random and --per-class were given together: give one of them")
    for flag, value in (("--random", args.random), ("--per-class", args.per_class), ("--columns", args.columns)):
        if value is not None and value < 1:
            raise cli.UserError(f"{flag} is {value}: give at least 1")
    if not 0 < args.truncation <= 1:
        raise cli.UserError(f"--truncation is {args.truncation}: give a number above 0, at most 1")
    cli.check_seed(args.seed)
    cli.choose_backend(args.backend)
    from cganjax import sampling

    generator = sampling.load(args.checkpoint)
    asks = not args.classes and args.random is None and args.per_class is None
    if generator.num_classes is None and args.random is None:
        what = f"CLASS {' '.join(args.classes)}" if args.classes else "no count" if asks else "--per-class"
        raise cli.UserError(
            f"{args.checkpoint} takes no labels and {what} was given: give --random N, the number of images"
        )
    return _ask(args, generator) if asks else _draw(args, generator)


def _draw(args, generator) -> int:
    import jax
    import numpy as np

    from cganjax import memory, rng, sampling

    classes, key, row_names = generator.num_classes, rng.root(args.seed), []
    if args.classes:
        names = generator.spec.class_names
        labels = parse_labels(" ".join(args.classes), names)
        columns, name = _columns(len(labels)), file_name_of([names[k] for k in labels[:20]]) or "classes"
    elif args.random is not None:
        memory.check_images(f"--random is {args.random}", args.random, generator.image_shape, copies=3)
        labels = None
        if classes is not None:
            labels = np.asarray(jax.random.randint(rng.stream(key, "labels"), (args.random,), 0, classes))
        columns, name = _columns(args.random), f"random-{args.random}"
    else:
        said = f"--per-class is {args.per_class}"
        memory.check_images(said, args.per_class * classes, generator.image_shape, copies=3)
        labels = np.repeat(np.arange(classes), args.per_class)
        columns, row_names = _class_rows(generator.spec, args.per_class)
        name = f"per-class-{args.per_class}"
    if args.columns not in (None, columns):
        columns, row_names = args.columns, []
    path, chosen = _out_file(args, f"{file_stem(generator.card['name'])}-{name}")
    n = args.random if labels is None else None
    progress = shown(n or len(labels))
    images = np.asarray(sampling.sample_from(generator, key, labels, n=n, truncation=args.truncation, on_rows=progress))

    def write(path: Path) -> None:
        _write(path, images, labels, columns, generator.spec, row_names)

    path = written(path, write, args.overwrite or chosen)
    print(f"{len(images)} {'image' if len(images) == 1 else 'images'} from {generator.card['name']}: {path}")
    return cli.DONE


def _columns(n: int) -> int:
    """One row of up to 10 images; of more about a square."""
    return n if n <= 10 else math.ceil(math.sqrt(n))


def _class_rows(spec, per_class: int) -> tuple[int, list[str]]:
    """Columns of a grid, and the names of its rows: one class per row, or several if there are many classes."""
    from cganjax import report

    if spec.num_classes <= MOST_ROWS:
        return per_class, report.row_names(spec)
    together = math.ceil(math.sqrt(spec.num_classes / per_class))
    return per_class * max(1, together), []


def _ask(args, generator) -> int:
    """Prompt for classes until an empty line or the end of input. Each image goes to a PNG and to the terminal.

    If the checkpoint's discriminator classifies, its highest output for each image is printed, as the original did.
    """
    import jax
    import numpy as np

    from cganjax import report, rng, sampling

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without block characters shows "?" for ink
    folder = args.out or Path("samples")
    if folder.suffix and not folder.is_dir():
        raise cli.UserError(f"--out is {folder}: give a folder for the images of the prompt, or give the classes")
    files.writable_folder(folder)
    discriminator = None
    if {"generator", "discriminator", "classifier"} <= {*generator.card["roles"]}:
        discriminator = sampling.load_discriminator(args.checkpoint)
    key, turn, spec = rng.stream(rng.root(args.seed), "prompt"), 0, generator.spec
    prompt = PROMPT if report.is_numbered(spec) else PROMPT_FOR_NAMES
    while True:
        try:
            text = input(prompt)
        except EOFError:
            text = ""
        if not text.strip():
            print()
            return cli.DONE
        try:
            labels = parse_labels(text, spec.class_names)
        except cli.UserError as error:
            print(error)
            continue
        turn_key = jax.random.fold_in(key, turn)
        images = np.asarray(sampling.sample_from(generator, turn_key, labels, truncation=args.truncation))
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            name = spec.class_names[label]
            path = folder / f"{file_name_of([name]) or label}-s{args.seed}-{turn}-{i}.png"
            save = functools.partial(report.save_png, sheet=report.grid(image[None], 1, spec), scale=4)
            path = written(path, save, args.overwrite)
            says = ""
            if discriminator:
                outputs = np.asarray(discriminator(image[None]))[0]
                says = f", D's highest output {outputs.max():.4f} (class {spec.class_names[outputs.argmax()]})"
            print(f"{report.blocks(image, spec, colour=sys.stdout.isatty())}\n{name}: {path}{says}\n")
        turn += 1


def _out_file(args, name: str) -> tuple[Path, bool]:
    """Where to write, and whether the user named the file itself."""
    if args.out is None or args.out.is_dir() or (not args.out.suffix and not args.out.is_file()):
        return files.writable_folder(args.out or Path("samples")) / f"{name}-s{args.seed}.png", False
    if args.out.suffix.lower() not in (".png", ".npz"):
        raise cli.UserError(f"--out is {args.out}: give a name that ends in .png or .npz, or a folder")
    return files.new_file(args.out, args.overwrite), True


def file_stem(name: str) -> str:
    """The name in a card as a part of a file name: a card may come from a stranger, and name another folder.

    >>> file_stem("../../escaped/x"), file_stem("label-score")
    ('escaped-x', 'label-score')
    """
    return re.sub(r"[^\w.-]+", "-", name)[:100].strip(".-") or "checkpoint"


def written(path: Path, write: Callable[[Path], None], replace: bool) -> Path:
    """Write a file at a path or, if it exists and may not be replaced, at the first free name with a number.

    The name is taken before the file is written, so that commands at the same time take different ones.

    Returns:
      The path that was written.
    """
    if replace:
        write(path)
        return path
    for free in itertools.chain([path], (path.with_stem(f"{path.stem}-{i}") for i in itertools.count(2))):
        with contextlib.suppress(FileExistsError):
            free.open("x").close()
            break
    try:
        write(free)
    except BaseException:
        free.unlink(missing_ok=True)
        raise
    return free


def shown(count: int) -> Callable[[int], None]:
    """What `on_rows` is to call: for many images it says how many are done, and how much time is left."""
    if count <= SHOWN:
        return lambda done: None
    terminal, began = sys.stderr.isatty(), time.perf_counter()
    said, every = began, 0.5 if terminal else 10.0
    print(f"compiling, then generating {count:,} images", file=sys.stderr, flush=True)

    def show(done: int) -> None:
        nonlocal said
        now = time.perf_counter()
        if now - said < every:
            return
        said, left = now, (now - began) / done * (count - done)
        text = f"{done:,} of {count:,} images, about {left:.0f} s left"
        print(f"\r{text:60}" if terminal else text, end="" if terminal and done < count else "\n", file=sys.stderr)

    return show


def _write(path: Path, images, labels, columns: int, spec, row_names) -> None:
    import numpy as np

    from cganjax import report

    if path.suffix.lower() == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=images, **({} if labels is None else {"labels": labels}))
        files.write_file(path, buffer.getvalue())
    else:
        report.save_grid(path, images, min(columns, len(images)), spec, row_names=row_names)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
