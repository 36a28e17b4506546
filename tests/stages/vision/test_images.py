"""Every kind of picture people have, and every kind of file that is none."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.vision.images import (
    GREY,
    Fit,
    ImageError,
    decode,
    decode_to,
    fit_size,
    input_box,
    probe,
    source_box,
)

# Pillow's own remarks on damaged files; outside of tests the module silences them.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

ARROW = np.zeros((20, 30, 3), np.uint8)  # one red corner, one green edge: no two turns of it are alike
ARROW[:5, :5] = (255, 0, 0)
ARROW[:, -4:] = (0, 255, 0)


def encoded(image: Image.Image | np.ndarray, form: str = "PNG", **options) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# -- decoding --------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000"])
def test_formats_give_rgb(form):
    data = encoded(ARROW, form)
    assert probe(data) == (30, 20)
    image = decode(data)
    assert image.shape == (20, 30, 3) and image.dtype == np.uint8
    assert np.abs(image[10, 12].astype(int)).max() < 40
    assert image[2, 2, 0] > 180 and image[10, -2, 1] > 180
    assert decode(data, channels=1).shape == (20, 30, 1)


def test_lossless_pixels_are_exact():
    assert np.array_equal(decode(encoded(noise())), noise())


TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.transpose(a, (1, 0, 2)),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.transpose(np.rot90(a, 2), (1, 0, 2)),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_undone(orientation, form):
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](ARROW)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(form, {})
    data = encoded(stored, form, exif=exif.tobytes(), **options)
    assert decode(data).shape == ARROW.shape
    assert np.abs(decode(data).astype(int) - ARROW).max() <= (4 if form == "JPEG" else 0)
    assert probe(data) == stored.size  # as stored


def test_unreadable_exif_says_nothing():
    data = encoded(ARROW, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage", quality=95)
    assert decode(data).shape == ARROW.shape


def test_cmyk_becomes_rgb():
    image = decode(encoded(Image.fromarray(ARROW).convert("CMYK"), "JPEG", quality=95))
    assert image.shape == (20, 30, 3)
    assert image[10, -2].argmax() == 1 and image[10, 12].max() < 60


def test_palette_and_bilevel():
    assert np.array_equal(decode(encoded(Image.fromarray(ARROW).convert("P", palette=Image.Palette.ADAPTIVE))), ARROW)
    bits = np.zeros((4, 8), bool)
    bits[:, 4:] = True
    assert np.array_equal(decode(encoded(Image.fromarray(bits)))[:, :, 0], bits * np.uint8(255))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_shown_on_white(mode):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[:, 1, 3] = 128
    pixels[:, 2, 3] = 255
    image = decode(encoded(Image.fromarray(pixels).convert(mode)))
    assert image[0, :, 0].tolist() == [255, 127, 0]


def test_transparent_palette_and_colour_key_are_shown_on_white():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert decode(encoded(palette, transparency=0)).tolist() == [[[255, 255, 255], [40, 50, 60]]]
    colours = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert decode(encoded(colours, transparency=(1, 2, 3))).tolist() == [[[255, 255, 255], [4, 5, 6]]]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(form):
    wide = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = decode(encoded(Image.fromarray(wide), form))
    assert image.shape == (256, 256, 3)
    assert np.abs(image[:, :, 0] - wide / 257).max() <= 0.5


def test_wider_numbers_are_brought_into_range():
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    expected = np.rint(ramp * 255)
    assert np.array_equal(decode(encoded(Image.fromarray(ramp), "TIFF"))[:, :, 1], expected)
    stretched = decode(encoded(Image.fromarray(ramp * 9000 - 4000), "TIFF"))[:, :, 1]
    assert np.abs(stretched - expected).max() <= 1
    nan = decode(encoded(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))
    assert nan.shape == (2, 2, 3)
    whole = np.linspace(0, 65535, 256).astype(np.int32).reshape(16, 16)
    assert np.abs(decode(encoded(Image.fromarray(whole), "TIFF"))[:, :, 0] - whole / 257).max() <= 0.51


def test_grey_and_the_luma_of_colours():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(decode(encoded(grey)), np.repeat(grey[:, :, None], 3, 2))
    assert np.array_equal(decode(encoded(grey), channels=1)[:, :, 0], grey)
    luma = decode(encoded(noise()), channels=1)[:, :, 0]
    assert np.abs(luma - noise() @ [0.299, 0.587, 0.114]).max() <= 1


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation(form):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    image = decode(encoded(frames[0], form, save_all=True, append_images=frames[1:]))
    assert image.shape == (6, 8, 3) and image[0, 0, 0] > 240 and image[0, 0, 2] < 15


# -- what is no image ---------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "JPEG2000"])
def test_truncated(form):
    data = encoded(noise(), form)
    with pytest.raises(ImageError) as error:
        decode(data[: len(data) // 2])
    assert "\n" not in error.value.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "not an image: begins with b'hello'"),
        (b"\xff\xd8\xff\xe0", "not a readable image: a damaged JPEG"),
        (b"<!DOCTYPE html><html>", "not a readable image: a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "convert it to JPEG"),
        (b"%PDF-1.4", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_not_an_image(data, reason):
    for function in (probe, decode):
        with pytest.raises(ImageError) as error:
            function(data)
        assert reason in error.value.reason


def claiming(width: int, height: int) -> bytes:
    """A PNG whose header promises far more than there is."""
    whole = encoded(Image.new("1", (1, 1)))
    header = b"IHDR" + struct.pack(">II", width, height) + whole[24:29]
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]


def test_decompression_bomb_is_refused_by_its_header():
    bomb = claiming(30_000, 30_000)
    for function in (probe, decode):
        with pytest.raises(ImageError, match="max_pixels"):
            function(bomb)
    small = encoded(Image.new("1", (100, 101)))
    assert probe(small, max_pixels=10_100) == (100, 101)
    with pytest.raises(ImageError, match="100 x 101 pixels are more than max_pixels = 10099"):
        probe(small, max_pixels=10_099)


def test_max_pixels_beyond_pillows_own():
    assert probe(claiming(20_000, 20_000), max_pixels=500_000_000) == (20_000, 20_000)


def test_flipped_bytes_are_images_or_errors_of_one_line():
    draw = random.Random(0)
    wholes = [encoded(noise(12, 16), form) for form in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "ICO", "PPM")]
    for _ in range(600):
        data = bytearray(draw.choice(wholes))
        for _ in range(draw.randint(1, 12)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            image = decode(bytes(data), max_pixels=1_000_000)
        except ImageError as error:
            assert error.reason and "\n" not in error.reason
        else:
            assert image.dtype == np.uint8 and image.shape[2] == 3


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_else(data):
    try:
        decode(data)
    except ImageError as error:
        assert "\n" not in error.reason


def test_the_error_survives_pickling():
    assert pickle.loads(pickle.dumps(ImageError("why"))).reason == "why"


def test_channels_are_one_or_three():
    with pytest.raises(ValueError, match="not 4"):
        decode(encoded(ARROW), channels=4)


# -- fitting ---------------------------------------------------------------------------


def slow_bilinear(image: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Antialiased bilinear as it is defined: a triangle as wide as the larger pixel, normalised, one axis at a time."""

    def weights(size: int, to: int) -> np.ndarray:
        scale = size / to
        centres = (np.arange(to) + 0.5) * scale
        apart = np.abs(np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1)
        found = np.clip(1 - apart, 0, None)
        return found / found.sum(1, keepdims=True)

    across = np.einsum("jw,hwc->hjc", weights(image.shape[1], cols), image.astype(float))
    return np.einsum("ih,hjc->ijc", weights(image.shape[0], rows), across)


@pytest.mark.parametrize("size", [(16, 16), (64, 96), (7, 90)])
def test_resizing_is_antialiased_bilinear(size):
    found = fit_size(noise(), size, "none")
    assert np.abs(found - slow_bilinear(noise(), *size)).max() <= 1.01  # two roundings to 8 bits


def test_center_takes_the_largest_square_first():
    image = noise(40, 61)
    square = image[:, 10:50]
    assert np.array_equal(fit_size(image, (16, 16), "center"), fit_size(square, (16, 16), "none"))
    # The filter must not see what was cropped away.
    image[:, :10] = image[:, 50:] = 255
    assert np.array_equal(fit_size(image, (16, 16), "center"), fit_size(square, (16, 16), "none"))


def test_center_takes_the_targets_shape():
    image = noise(40, 60)
    assert np.array_equal(fit_size(image, (10, 30), "center"), fit_size(image[10:30], (10, 30), "none"))
    assert np.array_equal(fit_size(image, (40, 20), "center"), image[:, 20:40])


def test_pad_keeps_all_and_fills_with_grey():
    found = fit_size(noise(20, 40), (32, 32), "pad")
    assert (found[:8] == GREY).all() and (found[24:] == GREY).all()
    assert np.array_equal(found[8:24], fit_size(noise(20, 40), (16, 32), "none"))
    assert fit_size(noise(20, 40)[:, :, :1], (32, 32), "pad").shape == (32, 32, 1)


# -- a share of the middle, other filters -------------------------------------------------


def slow(image, box, size, how, antialias):
    """Resampling as it is defined: for each pixel, all of the image's, weighted by the kernel at their distance."""
    kernels = {
        "bilinear": lambda x: max(0, 1 - x),
        "bicubic": lambda x: 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else (2 - x) ** 2 * (1 - x) / 2 if x < 2 else 0,
        "lanczos": lambda x: float(np.sinc(x) * np.sinc(x / 3)) if x < 3 else 0,
    }

    def weights(low, high, to, pixels):
        step = (high - low) / to
        wide = max(step, 1) if antialias else 1
        centres = [low + (k + 0.5) * step for k in range(to)]
        found = np.array([[kernels[how](abs(j + 0.5 - c) / wide) for j in range(pixels)] for c in centres])
        return found / found.sum(1, keepdims=True)

    down = weights(box[1], box[3], size[0], image.shape[0])
    right = weights(box[0], box[2], size[1], image.shape[1])
    return np.einsum("ih,hwc,jw->ijc", down, image.astype(float), right)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos"])
def test_filters_are_what_they_are_called(how, antialias):
    image = noise(40, 30) // 2 + 64  # no filter overshoots
    fit = Fit("center", 0.8, how, antialias)
    # 30 to 10, of which 8, from 1 on: pixels 3 to 27. 40 to 13, from 2 on: two and ten of 13 parts of 40.
    box = (3, 2 * 40 / 13, 27, 10 * 40 / 13)
    assert np.abs(fit_size(image, (8, 8), fit) - slow(image, box, (8, 8), how, antialias)).max() < 1.02


def test_without_antialiasing_as_tensorflow_resizes():
    image = np.array([[0, 10, 20, 30, 40, 50]], np.uint8).repeat(6, 0)[:, :, None]
    # Six to two: centres at 1.5 and 4.5 edges, the second and the fifth pixel alone.
    assert (fit_size(image, (2, 2), Fit("none", antialias=False))[0, :, 0] == [10, 40]).all()
    assert (fit_size(image, (2, 2), Fit("none", interpolation="nearest"))[0, :, 0] == [10, 40]).all()
    # Six to three: centres between two pixels.
    assert (fit_size(image, (3, 3), Fit("none", antialias=False))[0, :, 0] == [5, 25, 45]).all()


@pytest.mark.parametrize(
    "shape, whole, at", [((64, 81), (32, 40), (2, 6)), ((99, 64), (49, 32), (10, 2)), ((20, 20), (32, 32), (2, 2))]
)
def test_a_share_is_what_resizing_the_whole_and_cutting_whole_pixels_gives(shape, whole, at):
    image = noise(*shape)
    resized = np.array(Image.fromarray(image).resize(whole[::-1], Image.Resampling.BILINEAR))
    cut = resized[at[0] : at[0] + 28, at[1] : at[1] + 28]
    assert np.abs(fit_size(image, (28, 28), Fit(share=0.875)).astype(int) - cut).max() <= 1


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos", "nearest"])
@pytest.mark.parametrize(
    "crop, share", [("center", 1.0), ("center", 0.875), ("center", 0.3), ("none", 1.0), ("pad", 1.0)]
)
@pytest.mark.parametrize("upright, size", [((120, 250), (32, 32)), ((250, 120), (32, 24)), ((60, 50), (64, 96))])
def test_every_pixel_shows_where_its_box_says(upright, size, crop, share, how, antialias):
    # Red is the column, green the row that a pixel comes from.
    rows, cols = np.indices(upright)
    fit = Fit(crop, share, how, antialias)
    found = fit_size(np.stack([cols, rows, np.full(upright, 255)], -1).astype(np.uint8), size, fit).astype(int)
    boxes = [[source_box((k, k, k + 1, k + 1), upright, size, fit, clip=False) for k in range(n)] for n in size[::-1]]
    across, down = ([(b[axis] + b[axis + 2]) / 2 - 0.5 for b in own] for axis, own in enumerate(boxes))
    apart = max(across[1] - across[0], down[1] - down[0], 1)
    off = np.abs(found[..., 0] - np.array(across)), np.abs(found[..., 1] - np.array(down)[:, None])
    # At the border filters are one-sided, and in the padding is grey.
    inner = [
        (np.array(at) > 3 * apart) & (np.array(at) < n - 3 * apart)
        for at, n in ((down, upright[0]), (across, upright[1]))
    ]
    inside = inner[0][:, None] & inner[1]
    assert inside.sum() > 9
    assert max(o[inside].max() for o in off) <= 1.01 + (apart / 2 if how == "nearest" else 0)
    assert (found[inside, 2] == 255).all()


@pytest.mark.parametrize("share", [0.875, 0.31])
def test_boxes_of_a_share_by_hand_and_back(share):
    fit = Fit(share=share)
    around = source_box((0, 0, 50, 50), (100, 200), (50, 50), fit)
    assert around == pytest.approx((100 - 50 * share, 50 - 50 * share, 100 + 50 * share, 50 + 50 * share), abs=1)
    box = (90.0, 40.0, 105.0, 60.0)
    assert source_box(input_box(box, (100, 200), (50, 50), fit), (100, 200), (50, 50), fit) == pytest.approx(box)


def test_an_image_that_fits_is_left_alone():
    for crop in ("center", "none", "pad"):
        assert np.array_equal(fit_size(noise(), (40, 60), crop), noise())


@pytest.mark.parametrize("crop", ["center", "none", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (3, 2)])
def test_extreme_shapes(crop, shape):
    assert fit_size(noise(*shape), (24, 24), crop).shape == (24, 24, 3)


def test_unknown_crop():
    with pytest.raises(ValueError, match="middle"):
        fit_size(noise(), (8, 8), "middle")


def test_pad_fills_with_what_is_asked_for():
    assert not fit_size(noise(20, 40), (32, 32), "pad", fill=0)[:8].any()
    black = Fit.of(ImagesSpec(path="", crop="pad", fill=0))
    assert not fit_size(noise(20, 40), (32, 32), black)[:8].any()
    with pytest.raises(ValueError, match="fill is for crop: pad; with crop: none leave it out"):
        ImagesSpec(path="", crop="none", fill=0)


@pytest.mark.parametrize("crop", ["center", "none", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_decode_to_is_both_steps(crop, channels):
    data = encoded(noise(), "JPEG")
    twice = fit_size(decode(data, channels), (30, 20), crop)
    assert np.array_equal(decode_to(data, (30, 20), crop, channels), twice)


def test_threads_give_the_same_pixels():
    data = [encoded(noise(40 + k, 60), "JPEG") for k in range(20)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda d: decode_to(d, (16, 16)), data))
    assert all(np.array_equal(a, decode_to(d, (16, 16))) for a, d in zip(found, data, strict=True))


# -- the way back --------------------------------------------------------------------------


def test_source_boxes_by_hand():
    # 200 x 100 image to 50 x 50: the square is columns 50 to 150, two pixels to one.
    assert source_box((0, 0, 50, 50), (100, 200), (50, 50), "center") == (50, 0, 150, 100)
    assert source_box((10, 20, 30, 25), (100, 200), (50, 50), "center") == (70, 40, 110, 50)
    assert source_box((10, 20, 30, 25), (100, 200), (50, 50), "none") == (40, 40, 120, 50)
    # padded: 25 rows of image below 12 of grey, four pixels to one
    assert source_box((0, 12, 50, 37), (100, 200), (50, 50), "pad") == (0, 0, 200, 100)
    assert source_box((10, 22, 20, 32), (100, 200), (50, 50), "pad") == (40, 40, 80, 80)


def test_source_boxes_are_clipped():
    assert source_box((-90, -5, 60, 20), (100, 200), (50, 50), "center") == (0, 0, 170, 40)
    assert source_box((-90, -5, 60, 20), (100, 200), (50, 50), "center", clip=False) == (-130, -10, 170, 40)
    left, top, right, bottom = source_box((0, 0, 50, 10), (100, 200), (50, 50), "pad")
    assert top == bottom == 0  # in the grey


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(40, 300), st.integers(40, 300)),
    st.tuples(st.integers(20, 80), st.integers(20, 80)),
    st.sampled_from(["center", "none", "pad"]),
    st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)),
)
def test_a_mark_comes_back_to_where_it_was(upright, size, crop, at):
    image = np.zeros((*upright, 3), np.uint8)
    row, col = int(upright[0] * at[0]), int(upright[1] * at[1])
    image[max(0, row - 6) : row + 7, max(0, col - 6) : col + 7] = 255
    found = fit_size(image, size, crop).astype(float)[:, :, 0]
    found = np.where(found == GREY, 0, found)  # the padding
    if found.max() < 60:
        return  # cropped away, or too thin
    y, x = np.unravel_index(found.argmax(), found.shape)
    left, top, right, bottom = source_box((x, y, x + 1, y + 1), upright, size, crop)
    assert left - 8 <= col + 0.5 <= right + 8 and top - 8 <= row + 0.5 <= bottom + 8


def test_real_photographs_go_there_and_back(shared):
    files = sorted((shared / "data/imagenet_sample/images").glob("*/*"))[:5]
    for file in files:
        data = file.read_bytes()
        image = decode(data)
        assert probe(data) == (image.shape[1], image.shape[0]) or probe(data) == image.shape[:2]
        left, top, right, bottom = source_box((0, 0, 224, 224), image.shape[:2], (224, 224))
        cut = image[round(top) : round(bottom), round(left) : round(right)]
        assert np.array_equal(fit_size(cut, (224, 224)), decode_to(data, (224, 224)))


def test_boxes_in_the_input_by_hand():
    assert input_box((70, 40, 110, 50), (100, 200), (50, 50), "center") == (10, 20, 30, 25)
    assert input_box((0, 0, 200, 100), (100, 200), (50, 50), "center") == (0, 0, 50, 50)
    assert input_box((0, 0, 40, 100), (100, 200), (50, 50), "center") == (0, 0, 0, 50)  # left of the crop
    assert input_box((0, 0, 200, 100), (100, 200), (50, 50), "pad") == (0, 12, 50, 37)


@pytest.mark.parametrize("crop", ["center", "none", "pad"])
def test_a_box_goes_to_the_input_and_back(crop):
    box, upright, size = (60.0, 30.0, 120.0, 70.0), (100, 180), (64, 48)
    there = input_box(box, upright, size, crop)
    assert source_box(there, upright, size, crop) == pytest.approx(box)
