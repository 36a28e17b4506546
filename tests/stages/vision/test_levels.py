"""Images of more than 8 bits a channel: what is black and white, and what is said of those that come out dark."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from activation_atlas.stages import index
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.vision.images import decode, decode_to, measure
from activation_atlas.stages.vision.levels import Span, told
from tests.memory import MemoryInputs

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
OPTION = "images.levels: [BLACK, WHITE]"


def saved(values: np.ndarray, form: str = "TIFF") -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, form)
    return file.getvalue()


def twelve(form: str = "PNG") -> bytes:
    return saved(np.round(RAMP * 4095).astype(np.uint16), form)


def colours(kind: int, values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write. ``kind``: 2 RGB, 6 RGBA, 4 grey and alpha."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG2000"])
def test_greys_of_fewer_bits_are_what_8_bits_would_be(bits, form):
    white = 2**bits - 1
    data = saved(np.round(RAMP * white).astype(np.uint16), form)
    assert np.abs(decode(data, 1, levels=(0, white))[:, :, 0].astype(float) - RAMP * 255).max() <= 1
    assert np.array_equal(decode_to(data, (8, 8), levels=(0, white)), decode(data, levels=(0, white)))
    assert measure(data) == Span(0, white, 65535)
    (said,) = told([measure(data)], None, OPTION)
    assert said == (f"1 image of more than 8 bits a channel: the largest value is {white} of 65535, which is nearly "
                    f"black: give images.levels: [0, {white}]")  # fmt: skip


@pytest.mark.parametrize("values", [
    (RAMP * 4095 - 1024).astype(np.int32), (RAMP * 4095 - 1024).astype(np.float32), (RAMP * 5e6).astype(np.int32),
    (RAMP / 5).astype(np.float32)])  # fmt: skip
def test_wider_integers_and_floats(values):
    low, high = float(values.min()), float(values.max())
    for levels in ((low, high), (high, low), (low, 2 * high)):
        expected = np.clip((values.astype(float) - levels[0]) / (levels[1] - levels[0]), 0, 1) * 255
        assert np.array_equal(decode(saved(values), 1, levels=levels)[:, :, 0], np.rint(expected))
    (said,) = told([measure(saved(values))] * 3, None, OPTION)
    assert said.startswith("3 images of more than 8 bits a channel: ")
    assert ("of 1, which is nearly black" if high < 1 else "each is stretched from its own darkest") in said


def test_a_tiff_whose_white_is_zero_is_turned():
    dark = np.full((4, 4), 65535 - 4095, np.uint16)
    dark[0, 0] = 65535
    file = io.BytesIO()
    Image.fromarray(dark).save(file, "TIFF", tiffinfo={262: 0})
    assert measure(file.getvalue()) == Span(0, 4095, 65535)
    assert decode(file.getvalue(), 1)[:2, :2, 0].tolist() == [[0, 16], [16, 16]]
    assert decode(file.getvalue(), 1, levels=(0, 4095))[:2, :2, 0].tolist() == [[0, 255], [255, 255]]


def test_images_of_8_bits_stay_as_they_are():
    data = saved((RAMP * 200).astype(np.uint8), "PNG")
    assert np.array_equal(decode(data, levels=(0, 100)), decode(data)) and measure(data) is None


@pytest.mark.parametrize("kind", [2, 6, 4])
def test_16_bit_colours_are_read_in_8_and_told(kind):
    grey = np.round(RAMP * 4095)[..., None]
    opaque = np.full_like(grey, 65535)
    data = colours(
        kind, {2: grey.repeat(3, 2), 6: np.dstack([grey] * 3 + [opaque]), 4: np.dstack([grey, opaque])}[kind]
    )
    found = measure(data)
    assert (found.white, found.exact) == (65535, False) and 3600 < found.brightest <= 4095
    assert decode(data).max() == 15 and "nearly black" in told([found], None, OPTION)[0]
    stretched = decode(data, 1, levels=(0, 4095))[:, :, 0]
    assert np.abs(stretched - RAMP * 255).max() < 20 and "16 steps between" in told([found], (0, 4095), OPTION)[0]


def test_what_is_said_of_many():
    dark, bright = Span(0, 3000, 65535), Span(0, 65535, 65535)
    assert (
        told([bright, bright], None, OPTION) == told([], None, OPTION) == told([Span(0, 0, 65535)], None, OPTION) == []
    )
    assert told([dark] * 5, None, OPTION)[0].endswith(
        "3000 of 65535, which is nearly black: give images.levels: [0, 4095]"
    )
    (said,) = told([dark, bright], None, OPTION)
    assert "1 other is brighter: where white is another in these, convert them, or give" in said
    assert told([dark], (0, 4095), OPTION) == []
    assert "values go from 0 to 65535, beyond the levels given" in told([dark, bright], (0, 4095), OPTION)[0]
    assert "they change nothing" in told([], (0, 4095), OPTION)[0]
    (said,) = told([Span(0, 0.9, 1), Span(0, 200, 255)], None, OPTION)
    assert "no value is above 1, which is read as white; in 1 more 255 is" in said


def test_the_index_measures_and_tells_all_of_them_once(tmp_path):
    for k in range(5):
        (tmp_path / f"{k}.png").write_bytes(twelve() if k else saved((RAMP * 255).astype(np.uint8), "PNG"))
    (tmp_path / "cut.png").write_bytes(twelve()[:-40])
    inputs, chosen = MemoryInputs(), index.Params(images=ImagesSpec(path=str(tmp_path)), shard_images=2)
    found = inputs.run(index.STAGE, chosen)
    assert (
        found["levels"].select(["darkest", "brightest", "white", "exact"]).to_pylist()
        == [{"darkest": 0, "brightest": 4095, "white": 65535, "exact": True}] * 4
    )
    assert set(found["levels"]["image_id"].to_pylist()) < set(found["images"]["image_id"].to_pylist())
    assert [w for w in inputs.warnings if "levels" in w] == [
        "4 images of more than 8 bits a channel: the largest value is 4095 of 65535, which is nearly black: give "
        "images.levels: [0, 4095]"
    ]


def test_levels_in_a_configuration():
    assert ImagesSpec(path="x", levels=4095).levels == ImagesSpec(path="x", levels=[0, 4095]).levels == (0, 4095)
    for levels in (0, [7, 7], [0, float("inf")]):
        with pytest.raises(ValueError, match="cannot be black and white; give two values"):
            ImagesSpec(path="x", levels=levels)
