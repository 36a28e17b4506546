"""A run folder that grows: what is known of an image stays, and the rest is as if all had been there at once."""

from __future__ import annotations

import shutil
from collections import Counter

import pyarrow as pa
import pytest

from activation_atlas.stages.extract.rows import Extracted
from tests.bench import Bench
from tests.small import draw, write_images

TABLES = ("images", "predictions", "pixels", "activations/second", "layouts/all", "rejects/index", "rejects/extract")


def run(bench: Bench, name: str, out: str | None = None, *settings: str) -> None:
    """To the layout, over the images of a folder."""
    code, _, said = bench.run(out or f"of_{name}", f"images.path={name}", *settings, words=("--until", "reduce"))
    assert code in (0, 3), said


def rows(bench: Bench, out: str) -> dict[str, list]:
    """Rows of the tables, whatever part they lie in."""
    store = bench.store(out)
    found = {t: pa.concat_tables([store.read(t, k) for k in range(store.parts(t))]).to_pylist() for t in TABLES}
    return {
        t: sorted(rows, key=lambda row: (row["image_id"], row.get("row"), row.get("col"))) for t, rows in found.items()
    }


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("growing"))


@pytest.fixture
def looked_at(monkeypatch):
    """How often each image went through the model."""
    count, add = Counter(), Extracted.add

    def counted(self, sampler, numbers, images):
        count.update(self.ids[row] for row in numbers)
        return add(self, sampler, numbers, images)

    monkeypatch.setattr(Extracted, "add", counted)
    return count


def test_in_steps_or_at_once(bench, looked_at):
    whole = write_images(bench.folder / "whole", per_class=5)
    (whole / "blobs/broken.png").write_bytes((whole / "blobs/1.png").read_bytes()[:300])
    run(bench, "whole", "at_once")
    files = sorted(p.relative_to(whole) for p in whole.rglob("*.png"))
    wanted = rows(bench, "at_once")
    looked_at.clear()
    grown = bench.folder / "grown"
    # From the last to the first and by leaps: each step is listed between those that are there.
    for step in (3, 1, 4, 0, 2):
        for file in files[step::5]:
            (grown / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(whole / file, grown / file)
        run(bench, "grown", "in_steps")
    found = rows(bench, "in_steps")
    for table in TABLES:
        for row in (*found[table], *wanted[table]):
            row.pop("uri", None)
        assert found[table] == wanted[table], table
    assert set(looked_at.values()) == {1} and len(looked_at) == len(files) - 1


def test_only_what_is_new_or_changed_is_looked_at(bench, looked_at):
    images = write_images(bench.folder / "some", per_class=4)
    run(bench, "some")
    before, parts = rows(bench, "of_some"), [bench.store("of_some").footer("images", k) for k in range(3)]
    looked_at.clear()
    draw("blobs", 50).save(images / "blobs/0.png")
    (images / "checks/1.png").unlink()
    draw("stripes", 51).save(images / "blobs/00.png")
    run(bench, "some")
    after = rows(bench, "of_some")
    assert len(looked_at) == 2 and sum(looked_at.values()) == 2
    same = {row["image_id"] for row in before["images"]} & {row["image_id"] for row in after["images"]} - set(looked_at)
    assert len(same) == 10
    for table in ("predictions", "activations/second"):
        kept = [[row for row in found[table] if row["image_id"] in same] for found in (before, after)]
        assert kept[0] == kept[1] and kept[0]
    assert [bench.store("of_some").footer("images", k) for k in range(3)][2] == parts[2]  # of stripes alone


@pytest.mark.slow
def test_a_part_that_was_made_otherwise_gives_no_rows(bench, looked_at):
    write_images(bench.folder / "other", per_class=2)
    run(bench, "other")
    draw("blobs", 52).save(bench.folder / "other/blobs/9.png")
    looked_at.clear()
    run(bench, "other", "of_other", "extract.positions_per_image=3")
    assert len(looked_at) == 7


@pytest.mark.slow
def test_what_was_rejected_is_tried_again(bench, looked_at, monkeypatch):
    """What makes an image's reading fail may pass; it is never taken over."""
    images = write_images(bench.folder / "again", per_class=2)
    run(bench, "again")
    assert not bench.rejects("of_again")
    add = Extracted.add

    def refusing(self, sampler, numbers, images):
        for row in numbers:
            self.reject(row, "a bad day")

    monkeypatch.setattr(Extracted, "add", refusing)
    draw("blobs", 53).save(images / "blobs/9.png")
    run(bench, "again")
    assert bench.rejects("of_again") == {"9.png": "a bad day"}
    monkeypatch.setattr(Extracted, "add", add)
    draw("blobs", 54).save(images / "blobs/8.png")
    run(bench, "again")
    assert not bench.rejects("of_again")
    assert len(rows(bench, "of_again")["predictions"]) == 8


def test_a_layout_that_is_kept_is_the_run_s_until_it_is_asked_for_anew(bench):
    images = write_images(bench.folder / "kept", per_class=4)
    keep = ("atlases.0.reduce.keep=true", "atlases.0.reduce.drift=1")
    run(bench, "kept", None, *keep)
    store = bench.store("of_kept")
    fitted, layout = store.state_footer("reduce", "all"), store.footer("layouts/all", 0)
    draw("blobs", 60).save(images / "stripes/9.png")
    run(bench, "kept", None, *keep)
    kept = store.state_footer("reduce", "all")
    assert kept[1] == fitted[1] and store.footer("layouts/all", 0) == layout
    told = store.read_json("run.json")["metrics"]["reduce/all"]["kept"]
    assert (told["rows"], told["new_images"], told["changed"]) == (13 * 6, 1, 0)
    _, out, _ = bench.run("of_kept", "images.path=kept", *keep, words=("--until", "reduce"))
    assert store.state_footer("reduce", "all") == kept and "nothing to do" in out
    run(bench, "kept")
    run(bench, "kept", "afresh")
    assert store.state_footer("reduce", "all")[1] == bench.store("afresh").state_footer("reduce", "all")[1]
    assert "kept" not in store.read_json("run.json")["metrics"]["reduce/all"]
