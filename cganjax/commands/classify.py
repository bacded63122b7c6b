"""Say which digit images show: PNG (or any other picture file), or IDX files of many images, plain or .gz.

classify seven.png scan.jpg                   label and confidence of each
classify t10k-images-idx3-ubyte.gz            of each image in it
classify seven.png --checkpoint label-score   by another classifier
"""

import sys
from pathlib import Path

from cganjax import cli

CHUNK = 1000


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="a picture file, or an IDX file of images")
    p.add_argument("--checkpoint", default="lenet5", help="a shipped name or run of a classifier (default: lenet5)")
    p.add_argument(
        "--ink",
        choices=("auto", "dark", "light"),
        default="auto",
        help="dark on light paper, or light on dark; auto looks at the border (default: auto)",
    )
    p.add_argument("--limit", type=int, metavar="N", help="the first N images of each IDX file alone (default: all)")
    cli.add_backend(p)
    return p


def main(argv=None, prog: str = "python -m cganjax classify") -> int:
    """Read every file, then classify: nothing is printed of a call with a bad file."""
    args = parser(prog).parse_args(argv)
    if args.limit is not None and args.limit < 1:
        raise cli.UserError(f"--limit is {args.limit}: give at least 1")
    cli.choose_backend(args.backend)
    import numpy as np

    from cganjax import sampling, scores

    classifier = sampling.load_classifier(args.checkpoint)
    height, width, _ = classifier.image_shape
    files = [_read(path, (height, width), args.ink, args.limit) for path in args.images]
    for _, _, notice in files:
        if notice:
            print(f"note: {notice}", file=sys.stderr)
    names = [name for names, _, _ in files for name in names]
    images = np.concatenate([images for _, images, _ in files])
    for start in range(0, len(images), CHUNK):
        numbers = classifier(images[start : start + CHUNK])
        confidence = np.asarray(scores.confidences(numbers, classifier.scores))
        for name, row in zip(names[start : start + CHUNK], confidence, strict=True):
            print(f"{name}: {row.argmax()}  confidence {row.max():.4f}")
    return cli.DONE


def _read(path: Path, size: tuple[int, int], ink: str, limit: int | None):
    """A file's images float32 [N, H, W, 1] in [0, 1], ink = 1, a name for each, and a notice or ""."""
    from cganjax import data, pixels

    if not path.is_file():
        raise cli.UserError(f"{path} is no file: give a picture file or an IDX file of images")
    if not _is_idx(path):
        image, notice = _read_picture(path, size, ink)
        return [str(path)], image[None], notice
    array, _ = data.read_idx(path)
    if array.ndim != 3:
        raise cli.UserError(f"{path} holds labels: give the file of images beside it")
    if array.shape[1:] != size:
        raise cli.UserError(f"{path} holds images of {array.shape[1]}x{array.shape[2]}: expected {size[0]}x{size[1]}")
    if len(array) == 0:
        raise cli.UserError(f"{path} holds no image: give a file with at least one")
    array = array[:limit]
    return [f"{path}[{i}]" for i in range(len(array))], pixels.rest_to_unit(array[..., None]), ""


def _is_idx(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == ".gz" or "-ubyte" in path.name or file.read(3) == b"\0\0\x08"


def _read_picture(path: Path, size: tuple[int, int], ink: str):
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            if opened.mode.startswith("I"):  # 16 bits a pixel
                grey = Image.fromarray(np.round(np.asarray(opened) / 257).clip(0, 255).astype(np.uint8))
            elif opened.mode == "F":
                raise ValueError("pixels are fractions of an unknown scale")
            else:  # what is transparent shows white paper
                picture = opened.convert("RGBA")
                grey = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("L")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        reason = "an unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise cli.UserError(f"{path} is no picture that can be read ({reason}): give a PNG or an IDX file") from None
    edge = np.asarray(grey)
    edge = np.concatenate([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
    notices = []
    dark = ink == "dark" or (ink == "auto" and np.median(edge) > 127)
    if (grey.height, grey.width) != size:
        notices.append(f"{path} is {grey.height}x{grey.width}, resized to {size[0]}x{size[1]}")
        side = max(grey.size)  # to a square first, so that a digit keeps its proportions
        square = Image.new("L", (side, side), int(np.median(edge)))
        square.paste(grey, ((side - grey.width) // 2, (side - grey.height) // 2))
        grey = square.resize(size[::-1], Image.Resampling.BOX if side > size[0] else Image.Resampling.BICUBIC)
    image = np.asarray(grey, np.float32)[..., None] / np.float32(255)
    return (1 - image if dark else image), "; ".join(notices)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
