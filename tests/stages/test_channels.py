"""Channels and their peaks: counted from every position, the same whatever the parts, equal to a slow look at all."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.stages import channels, extract, tables
from activation_atlas.stages.channels import Params
from activation_atlas.stages.drawing.numbers import percent
from activation_atlas.stages.extract.responses import RESPONSES, responses
from activation_atlas.stages.intervals import student_t
from activation_atlas.stages.report import listed, peaks
from activation_atlas.stages.report.sparsity import sparsity_sheet
from activation_atlas.stages.specs import ImagesSpec, ModelSpec
from activation_atlas.stages.stage import Shard
from activation_atlas.stages.vision.images import decode_to
from activation_atlas.stages.vision.model import open_model
from tests.bench import Bench, one_line
from tests.memory import MemoryInputs
from tests.small import write_model

COUNT, CHANNELS = 11, 12


def _brute(maps: np.ndarray, ids: list[str], count: int) -> list[tuple]:
    """(channel, rank, image_id, row, col, response), from all values at once, sorted in Python."""
    found = []
    for c in range(maps.shape[3]):
        rows = []
        for i, one in zip(ids, maps[..., c], strict=True):
            height, width = one.shape
            middle = ((height - 1) / 2, (width - 1) / 2)
            places = [
                (-value, (row - middle[0]) ** 2 + (col - middle[1]) ** 2, row, col)
                for row, line in enumerate(one.tolist())
                for col, value in enumerate(line)
            ]
            if one.any():
                largest, _, row, col = min(places)
                rows.append((largest, -np.float32(one.mean(dtype=np.float64)), i, row, col))
        found += [(c, k, i, row, col, -low) for k, (low, _, i, row, col) in enumerate(sorted(rows)[:count])]
    return found


def test_what_a_channel_does_in_an_image_by_hand():
    maps = np.zeros((2, 2, 3, 3), np.float32)
    maps[0, 1, :2, 0] = 6, 6  # two of six positions, equal: the one nearer to the middle counts
    maps[0, 0, ::2, 2] = 6, 6  # as near: the first
    maps[1, :, :, 1] = [[-1, -3, -2], [-4, -5, -3]]  # negative everywhere
    found = responses(maps)
    assert {name: values.dtype for name, values in found.items()} == RESPONSES
    np.testing.assert_array_equal(found["peak"], [[6, 0, 6], [0, -1, 0]])
    np.testing.assert_array_equal(found["at"], [[4, 1, 0], [1, 0, 1]])
    np.testing.assert_array_equal(found["mean"], [[2, 0, 2], [0, -3, 0]])
    np.testing.assert_array_equal(found["zeros"], [[4, 6, 4], [6, 0, 6]])


def _run_folder(maps: np.ndarray, labels: list, parts: list[int]) -> tuple[MemoryInputs, list[str]]:
    """What extract writes of maps (n, h, w, C), in parts of so many images."""
    n, height, width, size = maps.shape
    ids = sorted(hashlib.sha256(str(k).encode()).hexdigest()[:16] for k in range(n))
    found, held, start = responses(maps), {"responses/deep": [], "predictions": []}, 0
    for count in parts:
        mine = slice(start, start + count)
        columns = [tables.from_numpy(values[mine]) for values in found.values()]
        held["responses/deep"].append(pa.table([pa.array(ids[mine], pa.string()), *columns], tables.responses(size)))
        said = {"image_id": ids[mine], "label": labels[mine], "pred": [k % 2 for k in range(n)][mine]}
        held["predictions"].append(pa.table({k: pa.array(v, pa.string() if k == "image_id" else pa.int32())
                                             for k, v in said.items()}))  # fmt: skip
        start += count
    about = {"channels": size, "height": height, "width": width}
    return MemoryInputs(held, {("channels", "deep"): about}, "channels", "deep"), ids


PARAMS = Params(model=ModelSpec(path="unused"), layer="deep", peaks=3)


def _stage(inputs: MemoryInputs) -> dict[str, pa.Table]:
    return channels.run(inputs, PARAMS, Shard(0, 0, 1))


def test_peaks_are_the_largest_of_all_whatever_the_parts():
    rng = np.random.default_rng(0)
    maps = rng.integers(-2, 4, (9, 3, 4, 5)).astype(np.float32)  # whole numbers: many are equal
    maps[..., 1] = np.maximum(maps[..., 1], 0)
    maps[2:, :, :, 2] = 0  # two images move it at all
    maps[..., 3] = 0  # dead
    inputs, ids = _run_folder(maps, [None] * 9, [9])
    whole = _stage(inputs)
    assert [tuple(row.values()) for row in whole["peaks/deep"].to_pylist()] == _brute(maps, ids, 3)
    for parts in ([4, 0, 5], [1] * 9, [2, 7]):
        again = _stage(_run_folder(maps, [None] * 9, parts)[0])
        assert all(again[name].equals(table) for name, table in whole.items()), parts
    counted = whole["channels/deep"].to_pandas()
    np.testing.assert_allclose(counted["mean"], maps.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(counted["zeros"], (maps == 0).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(counted["peak"], maps.max((0, 1, 2)))
    assert counted["dead"].tolist() == [False, False, False, True, False] and counted["images"][2] == 2


def test_what_is_dead_or_capped_is_told():
    maps = np.zeros((4, 1, 2, 3), np.float32)
    maps[..., 0] = [[[6, 0]], [[6, 6]], [[6, 0]], [[1, 0]]]
    maps[..., 1] = [[[6, 0]], [[5, 0]], [[4, 0]], [[3, 0]]]
    inputs, ids = _run_folder(maps, [None] * 4, [4])
    written = _stage(inputs)
    capped, dead = inputs.notes
    assert "1 of 2 channels have the same largest response in 3 images" in capped
    assert "1 of 3 channels are 0 in every image: 2" in dead
    # All three reach 6; the second image does so everywhere.
    first = [row["image_id"] for row in written["peaks/deep"].to_pylist() if row["channel"] == 0]
    assert first == [ids[1], ids[0], ids[2]]


def test_the_most_exciting_class_by_hand():
    maps = np.zeros((5, 1, 2, 2), np.float32)
    maps[:, 0, :, 0] = [[2, 4], [4, 6], [0, 2], [1, 1], [9, 9]]  # means 3, 5, 1, 1, 9
    row = _stage(_run_folder(maps, [0, 0, 1, 1, None], [5])[0])["channels/deep"].to_pylist()
    assert row[0]["class"] == 0 and row[0]["class_by"] == "label" and row[0]["class_images"] == 2
    # (4 - 1) / (4 + 1); of 3 and 5 the standard error is sqrt(2) / sqrt(2).
    assert row[0]["class_mean"] == 4 and row[0]["selectivity"] == pytest.approx(0.6)
    assert row[0]["class_high"] - 4 == pytest.approx(student_t(np.array([2]))[0])
    assert row[1]["dead"] and row[1]["class"] is row[1]["selectivity"] is None
    # Without labels, what the model takes them for: 0, 1, 0, 1, 0, of which class 0 has 3, 1, 9.
    row = _stage(_run_folder(maps, [None] * 5, [2, 3])[0])["channels/deep"].to_pylist()
    assert row[0]["class_by"] == "pred" and row[0]["class_images"] == 3
    assert row[0]["class_mean"] == pytest.approx(13 / 3)


def test_images_of_several_classes_count_for_each_and_quantities_for_none():
    maps = np.zeros((4, 1, 1, 1), np.float32)
    maps[:, 0, 0, 0] = [1, 2, 3, 6]
    inputs, _ = _run_folder(maps, [None] * 4, [4])
    (said,) = inputs.tables["predictions"]
    several = pa.array([[0], [0, 1], [1], []], pa.list_(pa.int32()))
    inputs.tables["predictions"] = [said.set_column(1, "label", several)]
    (row,) = _stage(inputs)["channels/deep"].to_pylist()
    assert row["class"] == 1 and row["class_mean"] == 2.5 and row["class_images"] == 2
    assert row["selectivity"] == pytest.approx((2.5 - 1.5) / 4)
    values = pa.array([[0.5], [1.0], [2.0], None], pa.list_(pa.float64()))
    inputs.tables["predictions"] = [said.set_column(1, "label", values).set_column(2, "pred", values)]
    (row,) = _stage(inputs)["channels/deep"].to_pylist()
    assert row["mean"] == 3 and row["class"] is row["class_mean"] is row["selectivity"] is None


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> list[tuple[str, str]]:
    folder, found = tmp_path_factory.mktemp("images"), []
    for k in range(COUNT):
        path = folder / f"{k}.png"
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (20, 24, 3), np.uint8)).save(path)
        found.append((hashlib.sha256(path.name.encode()).hexdigest()[:16], str(path)))
    return sorted(found)


@pytest.mark.slow
def test_extract_looks_at_every_position(photographs, tmp_path):
    spec = ModelSpec(path=str(write_model(tmp_path / "model.keras")))
    given = {"model": spec, "images": ImagesSpec(path="unused"), "positions_per_image": 2, "attribution": "none"}

    def run(per_part: int, **changes) -> dict[str, pa.Table]:
        parts = []
        for start in range(0, COUNT, per_part):
            ids, uris = zip(*photographs[start : start + per_part], strict=True)
            n, schema = len(ids), tables.images()
            columns = [ids, uris, [None] * n, [None] * n, [""] * n, [24] * n, [20] * n]
            parts.append(pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema))
        inputs = MemoryInputs({"images": parts})
        written = inputs.run(extract.STAGE, extract.Params(**{**given, "layers": ["second"], "batch": 4, **changes}))
        if "counted" in changes:
            for layer in changes["counted"]:
                written |= inputs.run(channels.STAGE, Params(model=spec, layer=layer, peaks=4), layer)
        return written

    plain, counted = run(COUNT), run(COUNT, counted=["first", "second"])
    assert all(counted[name].equals(table) for name, table in plain.items())
    model = open_model(spec)
    pixels = np.stack([decode_to(Path(path).read_bytes(), model.input_size) for _, path in photographs])
    maps = model.forward(["first", "second"])(model.to_input(pixels))[0]
    ids = [i for i, _ in photographs]
    for layer, values in maps.items():
        expected, found = _brute(values.numpy(), ids, 4), counted[f"peaks/{layer}"].to_pylist()
        assert [tuple(row.values())[:5] for row in found] == [row[:5] for row in expected]
        np.testing.assert_allclose([row["response"] for row in found], [row[5] for row in expected], rtol=1e-5)
        zeros = (values.numpy() == 0).mean((0, 1, 2))
        np.testing.assert_allclose(counted[f"channels/{layer}"]["zeros"].to_numpy(), zeros, atol=1e-6)
    for other in (run(3, counted=["first", "second"]), run(COUNT, counted=["second", "first"], batch=7)):
        for name in ("responses/first", "channels/first", "peaks/first", "responses/second", "peaks/second"):
            assert other[name].combine_chunks().equals(counted[name].combine_chunks()), name


def test_an_empty_list_leaves_the_fingerprint_as_it_was():
    plain = extract.Params(model=ModelSpec(path="m"), images=ImagesSpec(path="i"), layers=["deep"])
    assert "counted" not in plain.model_dump(mode="json", by_alias=True)
    more = plain.model_copy(update={"counted": ["deep"]})
    assert more.model_dump(mode="json") == {**plain.model_dump(mode="json"), "counted": ["deep"]}


# -- what is drawn ------------------------------------------------------------


def _drawn(folder: Path, classes: list[str], layers: tuple[str, ...] = ("deep", "second")) -> MemoryInputs:
    """Four photographs, each with a red square in a corner, where the channels have their peaks."""
    maps, uris = np.zeros((4, 8, 8, 3), np.float32), []
    for k in range(4):
        row, col = 7 * (k // 2), 7 * (k % 2)
        maps[k, row, col, :2] = [4 - k, 6]
        pixels = np.zeros((64, 64, 3), np.uint8)
        pixels[row * 8 : row * 8 + 8, col * 8 : col * 8 + 8] = [255, 0, 0]
        uris.append(str(folder / f"{k}.png"))
        Image.fromarray(pixels).save(uris[-1])
    inputs, ids = _run_folder(maps, [0, 0, 1, 1], [4])
    about = inputs.states["channels", "deep"] | {"compute": 0.5, "receptive_field": [8, 8], "stride": [8, 8]}
    about |= {"offset": [3.5, 3.5], "input_size": [64, 64], "kind": "Conv2D"}
    for layer in layers:
        inputs.states["channels", layer] = about
        inputs.tables |= {f"{name.split('/')[0]}/{layer}": [table] for name, table in _stage(inputs).items()}
    inputs.states["extract", ""] = {"classes": classes}
    rows = [ids, uris, [0, 0, 1, 1], [None] * 4, [""] * 4, [64] * 4, [64] * 4]
    schema = tables.images()
    inputs.tables["images"] = [pa.table([pa.array(c, f.type) for c, f in zip(rows, schema, strict=True)], schema)]
    said = inputs.tables["predictions"][0]
    inputs.tables["predictions"] = [said.append_column("prob", pa.array([0.9] * 4, pa.float32()))]
    return inputs


def test_patches_are_cut_where_the_peaks_are(tmp_path):
    inputs = _drawn(tmp_path, ["cat", "dog"])
    layer = peaks._read(inputs, "deep", 64)
    assert layer.shown == [0, 1] and layer.side == 8
    assert peaks._cut(inputs, ImagesSpec(path="unused"), [layer]) == {}
    assert set(layer.patches) == {(c, k) for c in (0, 1) for k in range(3)}
    for patch in layer.patches.values():
        assert (np.abs(patch[18:-18, 18:-18] - np.array([255, 0, 0])) < 40).all()


@pytest.mark.slow
def test_figures_of_channels(tmp_path):
    inputs = _drawn(tmp_path, ["cat", "dog"])
    shown = peaks.ShownChannels(layers=["deep", "second"], shown=1)
    Path(inputs.tables["images"][0]["uri"][0].as_py()).unlink()
    files = dict(peaks.figures(inputs, shown, ImagesSpec(path="unused"), "a model"))
    assert list(files) == ["peaks-deep.jpg", "peaks-second.jpg", "sparsity.png", "sparsity.svg"]
    assert len(inputs.warnings) == 1 and "1 photograph of peaks could not be read again" in inputs.warnings[0]
    layer = peaks._read(inputs, "deep", 2)
    said = [t.get_text() for t in peaks.peaks_sheet(layer, ["cat", "dog"], 4, "a model").axes.texts]
    told = " ".join(said)
    assert "all 2 channels that respond at all (1 never do), in their order" in told and "8 × 8 positions" in told
    assert "In 1 of these channels the largest responses are equal" in told and "4 to 2" in said and "6" in said
    # 2 of 3 channels are 0 but for one of 64 positions.
    said = [t.get_text() for t in sparsity_sheet([layer, layer], 4, "a model").axes.texts]
    assert said.count(percent((2 * 63 / 64 + 1) / 3)) == 2 and "8 × 8 × 3" in said
    assert [row["what"] for group in listed.figures({f"figures/{k}": v for k, v in files.items()}, {}, {})
            for row in group["rows"]] == [
        "What excites the channels of deep", "What excites the channels of second", "How sparse the layers are",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_run_that_asks_for_channels_later_keeps_the_rest(tmp_path):
    bench = Bench(tmp_path)
    no_icons = "atlases.0.render=null"
    bench.did("run", no_icons)
    did = bench.did("run", no_icons, "channels.layers=[first]", "channels.peaks=2")
    assert did == ["extract (fit)", "channels (fit)", "extract", "channels", "report"]
    assert {f.name for f in (tmp_path / "run" / "figures").iterdir()} >= {
        "peaks-first.jpg", "peaks-second.jpg", "sparsity.png", "sparsity.svg",
    }  # fmt: skip
    # Another number of peaks sends no image through the model again.
    again = bench.did("run", no_icons, "channels.layers=[first]", "channels.peaks=3")
    assert again == ["channels (fit)", "channels", "report"]
    one_line(bench.run("run", "channels.layers=[frist]"), "first")
