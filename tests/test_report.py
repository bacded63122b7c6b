"""Pictures: the colour and polarity of every figure to the pixel, class names as labels, and what must not change."""

import io
import zlib

import matplotlib
import numpy as np
import PIL
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from cganjax import checkpoint as ckpt
from cganjax import report
from cganjax.report import class_labels, line_charts
from cganjax.spec import DARK_ON_LIGHT, ImageSpec

RED, BLACK, WHITE = (255, 0, 0), (0, 0, 0), (255, 255, 255)
LIGHT = ImageSpec.numbered(4, 4, 1, 10)
DARK = ImageSpec.numbered(4, 4, 1, 10, polarity=DARK_ON_LIGHT)
PETS = ImageSpec(4, 4, 3, ("cat", "dog", "horse", "a very long name indeed"))
RANDOM = np.random.default_rng(0)


def red(*leading):
    """Red images float [..., 4, 4, 3]."""
    return np.broadcast_to(np.float32([1, 0, 0]), (*leading, 4, 4, 3)).copy()


def stroke(*leading):
    """Grey images [..., 4, 4, 1]: 1 in the left half, 0 in the right half."""
    image = np.zeros((*leading, 4, 4, 1), np.float32)
    image[..., :2, :] = 1
    return image


def pixels_of(png):
    """The RGB pixels of a PNG's bytes."""
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def colours_of(png):
    """The set of colours that a PNG holds."""
    return {tuple(int(v) for v in row) for row in np.unique(pixels_of(png).reshape(-1, 3), axis=0)}


# --- grids ------------------------------------------------------------------------------------------------------------


def mnist_grid():
    """The images of the flagship's shipped grid, float [100, 28, 28, 1]."""
    with Image.open(ckpt.find("mnist") / ckpt.GRID) as picture:
        sheet = np.asarray(picture)[::2, ::2]
    cells = [sheet[2 + 30 * r : 30 + 30 * r, 2 + 30 * c : 30 + 30 * c] for r in range(10) for c in range(10)]
    return ((255 - np.stack(cells)) / np.float32(255))[..., None]


def test_the_grid_of_the_flagship_keeps_its_bytes():
    images, shipped = mnist_grid(), (ckpt.find("mnist") / ckpt.GRID).read_bytes()
    for spec in (None, ImageSpec.numbered(28, 28, 1, 10)):
        drawn = report.png(report.grid(images, 10, spec))
        assert_array_equal(pixels_of(drawn), pixels_of(shipped))
        assert drawn == report.grid_png(images, 10, spec)
        if PIL.__version__ == "13.0.0":  # other versions may compress in another way
            assert drawn == shipped


def test_a_grid_by_hand():
    for spec, left in ((None, 0), (LIGHT, 0), (DARK, 255)):
        sheet = report.grid(stroke(3), columns=2, spec=spec, gap=1)
        assert (sheet.shape, sheet.dtype) == ((11, 11), np.uint8)
        assert (sheet[1:5, 1:3] == left).all() and (sheet[1:5, 3:5] == 255 - left).all()
        assert (sheet[6:, 6:] == 255).all() and (sheet[[0, 5]] == 255).all(), "gaps and the empty place are white"


@pytest.mark.parametrize("spec", [None, PETS], ids=["no spec", "RGB spec"])
def test_a_red_image_is_red(spec):
    sheet = report.grid(red(3), columns=2, spec=spec)
    assert sheet.shape == (14, 14, 3)
    assert_array_equal(sheet[2:6, 2:6], np.broadcast_to(RED, (4, 4, 3)))
    assert colours_of(report.png(sheet)) == {RED, WHITE}


def test_values_are_rounded_and_clipped():
    image = np.float32([-1, 0.5, 1.2, 0.1]).reshape(1, 1, 4, 1)
    assert report.shown(image).tolist() == [[[255, 127, 0, 229]]]
    assert report.shown(image, DARK).tolist() == [[[0, 128, 255, 26]]]


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="images have 2 channels: expected 1 .grey. or 3 .RGB."):
        report.grid(np.zeros((1, 4, 4, 2)), 1)


@pytest.mark.parametrize("images, spec", [(stroke(6), LIGHT), (red(6), PETS)], ids=["grey", "RGB"])
def test_names_stand_left_of_the_rows_of_a_grid(images, spec):
    plain = pixels_of(report.grid_png(images, 3, spec, scale=8))
    named = pixels_of(report.grid_png(images, 3, spec, scale=8, row_names=["cat", "dog"]))
    margin = named.shape[1] - plain.shape[1]
    assert margin > 20
    assert_array_equal(named[:, margin:], plain)
    upper, lower = np.array_split(named[:, :margin], 2)
    assert (upper < 128).any() and (lower < 128).any() and not np.array_equal(upper, lower)
    with pytest.raises(ValueError, match="1 row names were given: expected 2"):
        report.grid_png(images, 3, spec, row_names=["cat"])


def test_a_thousand_classes_stay_usable():
    assert report.some_classes(10).tolist() == list(range(10))
    some = report.some_classes(1000)
    assert len(some) == len(set(some)) == 32 and (some[0], some[-1]) == (0, 999)
    with Image.open(io.BytesIO(report.png(np.zeros((20_000, 4), np.uint8), 4))) as picture:
        assert picture.size == (4, 20_000), "no larger than it must be"
    with Image.open(io.BytesIO(report.png(np.zeros((5000, 4), np.uint8), 8))) as picture:
        assert picture.size == (12, 15_000)
    many = ImageSpec.numbered(4, 4, 3, 1000)
    confidence = RANDOM.dirichlet(np.ones(1000), 3)
    sheet = report.decoy_sheet(red(3), red(3), confidence, confidence[::-1], np.zeros(3, bool), spec=many)
    page = report.evaluation_page(
        [("each class", red(1000), list(map(str, range(1000))))], {"accuracy": {"mine": confidence[0]}}, "t", spec=many
    )
    for drawn in (sheet, page):
        assert max(pixels_of(drawn).shape) < 3000


def test_names_of_classes():
    assert report.row_names(None) == report.row_names(LIGHT) == []
    assert report.row_names(PETS) == ["cat", "dog", "horse", "a very l…ndeed"]
    assert report.row_names(PETS, [2, 0]) == ["horse", "cat"]
    assert report.short("a\n$b") == r"a \$b"


def labels_of(spec, inches):
    """The labels that bars of a spec get, and whether they are turned."""
    from cganjax.report.figures import figure

    axes = figure(inches, 2).subplots()
    class_labels.label_classes(axes, inches, spec.num_classes, spec)
    return [text.get_text() for text in axes.get_xticklabels()], axes.get_xticklabels()[0].get_rotation()


def test_labels_are_turned_and_thinned_where_they_are_many():
    assert labels_of(PETS, 6) == (["cat", "dog", "horse", "a very l…ndeed"], 0)
    assert labels_of(PETS, 1)[1] == 90
    some, turned = labels_of(ImageSpec.numbered(4, 4, 1, 1000), 4)
    assert turned == 90 and 10 < len(some) < 40 and some[0] == "0"


# --- Matplotlib figures -----------------------------------------------------------------------------------------------


def sheet_of(images, spec):
    return report.sheet(images[None], [[""] * len(images)], ["row"], spec=spec)


def page_of(images, spec):
    return report.evaluation_page([("row", images, [""] * len(images))], {}, "title", spec=spec)


def decoys_of(images, spec):
    classes = np.eye(10 if spec is None else spec.num_classes)[np.zeros(len(images), int)]
    return report.decoy_sheet(images, images, classes, classes, np.zeros(len(images), bool), spec=spec)


@pytest.mark.parametrize("figure", [sheet_of, page_of, decoys_of])
def test_every_figure_follows_colour_and_polarity(figure):
    def amount(png, colour):
        return (pixels_of(png) == colour).all(axis=-1).sum()

    for spec in (None, PETS):
        assert amount(figure(red(2), spec), RED) > 1000, "a red image is red"
    black = np.zeros((2, 4, 4, 1), np.float32)
    few = amount(figure(black, LIGHT), BLACK)
    assert few == amount(figure(black, None), BLACK) < amount(figure(black, DARK), BLACK) - 1000
    assert amount(figure(1 - black, LIGHT), BLACK) > few + 1000, "light ink is drawn dark"
    assert amount(figure(1 - black, DARK), BLACK) == few, "white paper stays white"


def test_a_difference_is_red_where_the_picture_becomes_darker():
    from cganjax.report import drawing
    from cganjax.report.figures import figure

    def drawn(change, spec):
        axes = figure(1, 1).subplots()
        drawing.draw_change(axes, change, 0.5, spec)
        (image,) = axes.images
        return image.to_rgba(image.get_array())[..., :3]

    more = np.full((4, 4, 1), 0.5, np.float32)
    for spec, change in ((LIGHT, more), (None, more), (DARK, -more)):
        assert_array_equal(drawn(change, spec)[0, 0], [1, 0, 0])
        assert_array_equal(drawn(-change, spec)[0, 0], [0, 0, 1])
    axes = figure(1, 1).subplots()
    drawing.draw_change(axes, np.broadcast_to(np.float32([0.5, -0.5, 0]), (4, 4, 3)), 0.5, PETS)
    assert axes.images[0].get_array()[0, 0].tolist() == [255, 0, 128]


def test_the_bars_of_a_decoy_sheet_have_the_names_of_the_classes(monkeypatch):
    from cganjax.report import decoy_sheets

    kept = []
    monkeypatch.setattr(decoy_sheets, "to_png", lambda drawn: kept.append(drawn) or b"")
    decoys_of(red(1), PETS)
    many = ImageSpec(4, 4, 3, tuple(f"class {k}" for k in range(100)))
    confidence = np.zeros((1, 100))
    confidence[0, 40:44] = 0.25
    report.decoy_sheet(red(1), red(1), confidence, confidence, np.zeros(1, bool), spec=many)
    names = [[text.get_text() for text in drawn.axes[3].get_xticklabels()] for drawn in kept]
    assert names[0] == report.row_names(PETS)
    assert len(names[1]) == 6 and {"class 40", "class 43"} <= set(names[1])


def test_the_legend_of_a_decoy_sheet_covers_no_bars(monkeypatch):
    from cganjax.report import decoy_sheets

    kept = []
    monkeypatch.setattr(decoy_sheets, "to_png", lambda drawn: kept.append(drawn) or b"")
    for n in (1, 13):
        decoys_of(red(n), PETS)
    for drawn in kept:
        (legend,) = drawn.legends
        drawn.draw_without_rendering()
        assert [text.get_text() for text in legend.get_texts()] == ["clean", "decoy"]
        assert not any(legend.get_window_extent().overlaps(axes.get_tightbbox()) for axes in drawn.axes if axes.axison)


def test_figures_of_light_digits_are_what_they_were():
    """CRC-32 of the pixels as Matplotlib 3.11.2 draws them."""
    if (matplotlib.__version__, np.__version__.split(".")[0]) != ("3.11.2", "2"):
        pytest.skip(f"Matplotlib is {matplotlib.__version__}: these pixels are those of 3.11.2")
    images, random = mnist_grid(), np.random.default_rng(0)
    decoys = np.clip(images[:13] + random.uniform(-0.2, 0.2, images[:13].shape), 0, 1).astype(np.float32)
    before, after = (random.dirichlet(np.ones(10), 13) for _ in range(2))
    rejected = random.random(13) < 0.5
    for spec in (None, ImageSpec.numbered(28, 28, 1, 10)):
        drawn = report.decoy_sheet(images[:13], decoys, before, after, rejected, spec=spec)
        with Image.open(io.BytesIO(drawn)) as picture:
            assert zlib.crc32(np.asarray(picture).tobytes()) == 3231820140


def test_every_metric_has_a_panel(monkeypatch):
    kept = []
    monkeypatch.setattr(line_charts, "to_png", lambda drawn: kept.append(drawn) or b"")
    rows = [{"step": s, "steps": 1, "loss": 1.0, "test_accuracy_by_class": [1.0], "drift": s} for s in (1, 2)]
    report.curves(rows, "title")
    report.curves([], "no metrics yet")
    assert [axes.get_ylabel() for axes in kept[0].axes] == ["loss", "drift"]


# --- terminal and files -----------------------------------------------------------------------------------------------


def test_blocks_follow_the_spec():
    assert report.blocks(stroke()) == report.blocks(stroke(), LIGHT) == "██\n██"
    assert report.blocks(stroke(), DARK) == "  ██\n  ██"
    assert report.blocks(np.zeros((3, 2, 3)), PETS) == "██\n██"
    assert report.blocks(np.ones((2, 2, 3))) == ""
    assert report.blocks(red()[:2, :1], colour=True) == "\x1b[38;2;255;0;0m\x1b[48;2;255;0;0m▀\x1b[0m"
    assert len(report.blocks(np.ones((40, 250, 1))).splitlines()[0]) <= 100


def test_writers_write_what_the_figures_return(tmp_path):
    images = red(2)
    report.save_png(tmp_path / "a.png", report.grid(images, 2), 3)
    assert (tmp_path / "a.png").read_bytes() == report.png(report.grid(images, 2), 3)
    report.save_grid(tmp_path / "b.png", images, 2, PETS, row_names=["cat"])
    assert (tmp_path / "b.png").read_bytes() == report.grid_png(images, 2, PETS, row_names=["cat"])
    report.save_sheet(tmp_path / "c.png", images[None], [["", ""]], ["row"], spec=PETS)
    assert (tmp_path / "c.png").read_bytes() == report.sheet(images[None], [["", ""]], ["row"], spec=PETS)
