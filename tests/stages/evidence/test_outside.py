"""How much of a region lies outside the objects: by boxes and by masks, on images that are not square."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.stages.evidence.outside import outside
from activation_atlas.stages.specs import ImagesSpec
from tests.memory import MemoryInputs

EXTRACT = {"input_size": [8, 8]}
LAYER = {"height": 2, "width": 2, "offset": [1.5, 1.5], "stride": [4, 4]}
"""The middles of its positions are pixels 2 and 6."""
IDS = [f"{k:016x}" for k in range(4)]


@pytest.fixture
def inputs(tmp_path):
    uris = [str(tmp_path / f"{k}.png") for k in range(4)]
    for uri in uris:
        Image.new("RGB", (16, 8)).save(uri)  # its middle 8 x 8 pixels are what the model sees
    boxes = ["[4, 0, 8, 8]", "[0, 0, 16, 8]", None, "[[4, 0, 8, 4], [8, 4, 12, 8]]"]
    about = pa.table({"image_id": IDS, "uri": uris, "meta.box": boxes})
    return MemoryInputs({"images": [about.slice(0, 3), about.slice(3)]})


EVERYWHERE = [(own, row, col, 1.0) for own in IDS for row in (0, 1) for col in (0, 1)]


def test_boxes_by_hand(inputs):
    members = [EVERYWHERE[:4], EVERYWHERE[4:8], EVERYWHERE[8:12], EVERYWHERE[12:], EVERYWHERE[:12], []]
    found = outside(inputs, EXTRACT, LAYER, ImagesSpec(path="."), ("meta.box",), None, members)
    assert found == [0.5, 0, None, 0.5, 0.25, None]
    upper_right = [(IDS[3], 0, 1, 1.0)]
    assert outside(inputs, EXTRACT, LAYER, ImagesSpec(path="."), ("meta.box",), None, [upper_right]) == [1]


def test_masks_by_hand(inputs, tmp_path):
    mask = np.zeros((8, 16), np.uint8)
    mask[:4, 4:8] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks/0.png")
    Image.fromarray(mask[:, :9]).save(tmp_path / "masks/1.png")
    found = outside(inputs, EXTRACT, LAYER, ImagesSpec(path="."), (), str(tmp_path / "masks"), [EVERYWHERE])
    assert found == [0.75], "a mask of another size than its image says nothing"
    assert "the mask has 9 x 8 pixels, the image 16 x 8; it is left out" in inputs.warnings[0]
