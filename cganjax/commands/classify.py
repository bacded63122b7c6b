"""Print the class that each image shows: pictures (PNG, JPEG, ...), folders of them, or files of many images.

classify seven.png scan.jpg                   the class of each, and the confidence
classify t10k-images-idx3-ubyte.gz            of each image in an IDX, .npz or .npy file
classify seven.png --checkpoint label-score   by another classifier
classify photos/ --checkpoint runs/mine       of each picture in a folder and its sub-folders, by a classifier of yours

A picture of another size is resized. Its margins are cut off if the classifier was trained on pictures of a folder that
were resized too (`train --size`); otherwise it is padded, so that it keeps its proportions.
"""

import sys

from cganjax import cli


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument(
        "images",
        nargs="+",
        type=cli.path,
        metavar="FILE",
        help="a picture, a folder of pictures, or a file of many images",
    )
    p.add_argument(
        "--checkpoint",
        type=cli.name_or_path,
        default="lenet5",
        help="a shipped name or run of a classifier (default: lenet5)",
    )
    p.add_argument(
        "--ink",
        choices=("auto", "dark", "light"),
        default="auto",
        help="of pictures of drawings: dark on light paper, or light on dark. A picture of the other kind than the "
        "classifier's images is inverted; auto looks at the border if the classifier's images are light on dark, and "
        "inverts nothing otherwise (default: auto)",
    )
    p.add_argument(
        "--limit", type=int, metavar="N", help="only the first N images of each file or folder of many (default: all)"
    )
    cli.add_backend(p)
    return p


def main(argv=None, prog: str = "python -m cganjax classify") -> int:
    """Read every file, then classify: if one file is bad, nothing is printed about the others."""
    args = parser(prog).parse_args(argv)
    if args.limit is not None and args.limit < 1:
        raise cli.UserError(f"--limit is {args.limit}: give at least 1")
    cli.choose_backend(args.backend)
    import numpy as np

    from cganjax import sampling, scores
    from cganjax.commands import _image_files as image_files

    classifier = sampling.load_classifier(args.checkpoint)
    spec = classifier.spec
    if args.ink != "auto" and spec.channels == 3:
        raise cli.UserError(f"--ink is {args.ink}: it is about grey drawings, and {args.checkpoint} takes RGB images")
    crop = bool(classifier.card["data"].get("size"))
    files = [image_files.read(path, spec, args.ink, args.limit, crop=crop) for path in args.images]
    for file in files:
        if file.note:
            print(f"note: {file.note}", file=sys.stderr)
    names = [name for file in files for name in file.names]
    confidence = scores.confidences_of(classifier, np.concatenate([file.images for file in files]))
    for name, row in zip(names, confidence, strict=True):
        print(f"{name}: {spec.class_names[row.argmax()]}  confidence {row.max():.4f}")
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
