"""Folders as users have them, with one sub-folder per class: photo-like pictures of several sizes, and clothes.

    python tests/own_pictures.py photos FOLDER
    python tests/own_pictures.py clothes FOLDER --data-dir DIR       500 images of three classes of Fashion-MNIST

`photos` needs no data. The pictures are the same for the same seed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = ((40, 30), (30, 40), (64, 64), (96, 64), (100, 120), (131, 77), (160, 120), (240, 180))  # width, height


def photos(folder: Path, n: int = 60, seed: int = 0, sizes: Sequence[tuple[int, int]] = SIZES) -> Path:
    """Write n pictures of the classes balls, fields and towers: RGB and grey, PNG and JPEG, one size after another.

    Within each class, one picture in four is grey, and every second one is a JPEG.
    """
    random = np.random.default_rng(seed)
    for i in range(n):
        name = tuple(_DRAW)[i % len(_DRAW)]
        width, height = sizes[i // len(_DRAW) % len(sizes)]
        picture = Image.fromarray(_DRAW[name](random, width, height).clip(0, 255).astype(np.uint8))
        turn = i // len(_DRAW)
        picture = picture.convert("L") if turn % 4 == 3 else picture
        path = folder / name / f"{i:04}{('.png', '.jpg')[turn % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, **({"quality": 92} if turn % 2 else {}))
    return folder


def _background(random: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sky that fades into a ground, with noise, float [H, W, 3], and the coordinates of its pixels within -1..1.

    Both coordinates have the scale of the shorter side, so that circles are round.
    """
    shorter = min(width, height)
    y, x = np.mgrid[:height, :width]
    y, x = (2 * y - height + 1) / shorter, (2 * x - width + 1) / shorter
    sky, ground = random.uniform(120, 220, 3) * (0.8, 0.9, 1.1), random.uniform(40, 120, 3) * (1, 1.1, 0.7)
    fade = 1 / (1 + np.exp(-6 * (y - random.uniform(0, 0.5))))[..., None]
    return sky * (1 - fade) + ground * fade + random.normal(0, 6, (height, width, 1)), y, x


def _ball(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    picture, y, x = _background(random, width, height)
    top, left, radius = *random.uniform(-0.25, 0.25, 2), random.uniform(0.35, 0.6)
    squared = ((y - top) ** 2 + (x - left) ** 2) / radius**2
    light = 0.45 + 0.55 * np.sqrt(np.clip(1 - squared, 0, 1)) - 0.3 * (y - top) / radius
    return np.where((squared < 1)[..., None], random.uniform((160, 30, 20), (255, 120, 90)) * light[..., None], picture)


def _field(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    picture, y, x = _background(random, width, height)
    start = random.uniform(-0.4, 0.1)
    rows = np.sin(random.uniform(8, 14) * x / (y - start + 0.35) + random.uniform(0, 6)) > 0
    crop, soil = random.uniform((90, 130, 20), (190, 200, 70)), random.uniform((70, 45, 20), (120, 80, 50))
    return np.where((y > start)[..., None], np.where(rows[..., None], crop, soil) * (0.8 + 0.2 * y[..., None]), picture)


def _tower(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    picture, y, x = _background(random, width, height)
    middle, half, top = random.uniform(-0.2, 0.2), random.uniform(0.18, 0.35), random.uniform(-0.8, -0.4)
    windows = (np.sin(9 * (y - top)) > 0.3) & (np.sin(5 * np.pi * (x - middle) / half / 2) > 0.2)
    wall = np.where(windows[..., None], random.uniform(20, 60, 3), random.uniform(130, 200, 3) * (1.1, 1, 0.9))
    return np.where(((np.abs(x - middle) < half) & (y > top) & (y < 0.85))[..., None], wall, picture)


_DRAW = {"balls": _ball, "fields": _field, "towers": _tower}


def clothes(
    folder: Path,
    data_dir: Path,
    n: int = 500,
    names: Sequence[str] = ("trouser", "bag", "sneaker"),
    split: str = "train",
) -> Path:
    """Write the first n images of some classes of Fashion-MNIST, in canonical order and as even as can be, as PNGs."""
    from cganjax import data

    found = data.load("fashion_mnist", split, data_dir)
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        mine = found.images[found.labels == found.spec.class_names.index(name)]
        for i in range(len(range(k, n, len(names)))):
            Image.fromarray(mine[i, ..., 0]).save(folder / name / f"{i:05}.png")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("photos", "clothes"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, help="number of pictures (default: 60 photos, 500 clothes)")
    parser.add_argument("--data-dir", type=Path, help="where fashion_mnist lies")
    args = parser.parse_args()
    count = {} if args.n is None else {"n": args.n}
    if args.what == "photos":
        photos(args.folder, **count)
    else:
        clothes(args.folder, args.data_dir, **count)
