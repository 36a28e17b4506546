"""From a raw map to what is drawn, once: the command, the sheet on paper and the page of mistakes show one thing."""

from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.surface import FADED, OPACITY, Style, style_of, surface
from activation_atlas.stages.explain.explained import Explained, Map
from activation_atlas.stages.report.assets import Assets
from activation_atlas.stages.report.errors.figures import _pictures
from activation_atlas.stages.report.errors.maps import pooled, read_variant
from activation_atlas.stages.report.errors.payload import describe_variant
from activation_atlas.stages.vision.attribution.methods.cam import Cam, GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import GradientXInput, Saliency
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.attribution.methods.rise import Rise
from activation_atlas.stages.vision.place import Place
from tests.memory import MemoryInputs

RNG = np.random.default_rng(0)
SIZE = (28, 28)


def test_windows_are_spread_to_the_pixels_they_hide():
    values = np.zeros((5, 5))
    values[0, 0] = 8
    drawn = surface(values, Occlusion(patch=8, stride=4), (24, 24), Place.even((5, 5), (24, 24)))
    assert drawn.place == Place.whole((24, 24)) and drawn.values.shape == (24, 24)
    assert [drawn.values[k, j] for k, j in ((0, 0), (0, 4), (4, 4), (8, 8))] == [8, 4, 2, 0]


def test_rise_is_drawn_around_its_mean():
    def drawn(values):
        return surface(np.array(values, np.float32), Rise(cells=2), (8, 8), Place.even((2, 2), (8, 8))).values

    assert drawn([[5, 7], [6, np.nan]])[0].tolist() == [-1, 1]
    assert np.isnan(drawn([[5, 7], [6, np.nan]])[1, 1]), "what is lost is not shown as little"
    assert not drawn(np.full((2, 2), 0.1)).any(), "a map of one value shows nothing, not the rounding of its mean"


@pytest.mark.parametrize(
    ("options", "shape", "style"),
    [
        (GradCam(), (7, 7), Style(signed=False, coarse=True)),
        (Cam(), (7, 7), Style(signed=True, coarse=True)),
        (Cam(), (57, 57), Style(signed=True, coarse=False)),
        (Saliency(), (224, 224), Style(signed=False, coarse=False)),
        (GradientXInput(), (224, 224), Style(signed=True, coarse=False)),
        (Occlusion(), (13, 13), Style(signed=True, coarse=True)),
        (Occlusion(patch=32, stride=2), (97, 97), Style(signed=True, coarse=True)),  # many windows, none of them small
        (Occlusion(patch=(3, 32), stride=16), (14, 13), Style(signed=True, coarse=False)),  # few windows, but lines
        (Rise(cells=8), (224, 224), Style(signed=True, coarse=True)),  # a value for each pixel, of masks of 8 x 8 cells
        (Rise(cells=112), (224, 224), Style(signed=True, coarse=False)),
    ],
)
def test_what_is_little_goes_by_the_smallest_thing_a_map_tells_apart(options, shape, style):
    assert style_of(options.at((224, 224)), (224, 224), Place.even(shape, (224, 224))) == style
    assert style.faded == (style.signed and not style.coarse)
    assert style.opacity == (FADED if style.faded else OPACITY) and (style.contour is None) == (not style.coarse)


CASES = [
    GradCam(),
    Occlusion(patch=8, stride=1),
    Occlusion(patch=2, stride=2),
    GradientXInput(),
    Saliency(),
    Rise(cells=4),
]
SHAPES = {"grad_cam": (7, 7), "occlusion": (21, 21)}


@pytest.mark.parametrize("options", CASES, ids=lambda o: f"{o.name}-{getattr(o, 'patch', '')}")
def test_command_sheet_and_page_take_the_same_surface_fade_and_opacity(options):
    """One raw map, by its three ways to a reader's eye."""
    side = 14 if getattr(options, "patch", 0) == 2 else SHAPES.get(options.name, SIZE)[0]
    raw = RNG.normal(size=(side, side)).astype(np.float32)
    raw = raw if style_of(options, SIZE, Place.whole(SIZE)).signed else np.abs(raw)
    place = Place.even((side, side), SIZE)
    photo = RNG.integers(0, 256, (196, 196, 3), np.uint8)
    own = Map(options, None, 1, "dog", ["predicted"], 0.9, 1.5, raw, place, None, None)
    logits = np.array([0, 1.5], np.float32)
    by_command = Explained(
        "m", "a.png", "a", photo, photo[:28, :28], "none", None, ["cat", "dog"], logits, logits, [own]
    )

    row = {"image_id": "a", "target": 1, "target_kinds": ["predicted"], "layer": None, "height": side, "width": side}
    row |= {**place.row(), "map": raw.ravel().tolist(), "score": 1.5, "gap": None, "flag": None}
    inputs = MemoryInputs({f"maps/{options.variant}": [pa.Table.from_pylist([row], tables.maps())]}, {})
    variant = read_variant(inputs, options, ["a"], SIZE)
    (on_sheet,) = variant.maps["a"]
    page = describe_variant(variant, [], Assets())

    drawn = own.surface(SIZE)
    assert drawn.style == on_sheet.surface.style == variant.style
    assert (page["signed"], page["faded"], page["opacity"]) == (
        drawn.style.signed,
        drawn.style.faded,
        drawn.style.opacity,
    )
    np.testing.assert_array_equal(pooled(drawn.values), on_sheet.values)
    top = by_command.top(options.variant)
    assert variant.scales([on_sheet]) == [top]
    buffer = BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    _, picture = _pictures([on_sheet], [top], buffer.getvalue(), 196)
    np.testing.assert_array_equal(picture, drawn.over(photo, "none", top))
    lined = by_command.picture(own)
    line = (picture != lined).any(-1)  # only the large picture has one
    assert np.isin(lined[line], (0, 255)).all() and line.any() == drawn.style.coarse
