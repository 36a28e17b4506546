"""What was damaged after it was written: found by checksum, named, and made again."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activation_atlas.pipeline.seal import seal, whole
from activation_atlas.pipeline.store import Store
from activation_atlas.pipeline.verifying import drop, verify
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables import from_numpy


@pytest.fixture
def store(tmp_path):
    """A part with nulls, a state and a page."""
    store, rows = Store(tmp_path / "run"), 30
    vectors = np.random.default_rng(0).normal(size=(rows, 8)).astype("f2")
    label = pa.array([None if k % 3 else k for k in range(rows)], pa.int32())
    table = pa.table({"image_id": [f"{k:016x}" for k in range(rows)], "label": label, "v": from_numpy(vectors)})
    store.write("activations/a", 0, table, {"version": 1})
    store.write_state("reduce", "late", {"axes": np.eye(3), "names": ["a"]}, {"version": 1})
    store.write_files("report", {"site/index.html": b"<p>"}, {"version": 1})
    return store


def flipped(data, at, bit=4):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def test_what_was_not_touched_is_whole(store):
    found = verify(store)
    assert found.whole and (found.files, found.unsealed) == (3, 0)
    assert found.bytes == sum(p.stat().st_size for p in store.root.rglob("*.*") if ".files" not in p.name)


def test_a_bit_of_a_part_is_found_wherever_it_is(store):
    path = store.part_path("activations/a", 0)
    data = path.read_bytes()
    for at in range(0, len(data), 3):
        path.write_bytes(flipped(data, at, at % 8))
        assert [d.path for d in verify(store).damages] == [path], at
    for length in range(0, len(data), 200):
        path.write_bytes(data[:length])
        assert not verify(store).whole, length
    path.write_bytes(data)
    assert verify(store).whole


def test_a_sealed_file_is_a_parquet_file_as_any_other(tmp_path):
    table, plain, sealed = pa.table({"n": list(range(100))}), tmp_path / "plain", tmp_path / "sealed"
    for path in (plain, sealed):
        pq.write_table(table, path)
    seal(sealed)
    assert whole(sealed) and whole(plain) is None
    assert pq.read_table(sealed).equals(table) and sealed.stat().st_size == plain.stat().st_size + 44


def test_a_flipped_bit_of_a_row_is_an_error_when_it_is_read(store):
    path = store.part_path("activations/a", 0)
    path.write_bytes(flipped(path.read_bytes(), 60))
    with pytest.raises(UserError, match=r"part-00000.parquet cannot be read .* with --repair"):
        store.read("activations/a", 0)


def test_states_and_pages_are_held_against_their_digests(store):
    state, page = store.state_path("reduce", "late"), store.root / "site/index.html"
    data = state.read_bytes()
    state.write_bytes(flipped(data, data.index(np.eye(3).tobytes()) + 6))
    page.write_bytes(b"<q>")
    with pytest.raises(UserError, match=r"late.npz cannot be read .*--repair"):
        store.read_state("reduce", "late")
    found = verify(store)
    assert [(d.path, d.reason) for d in found.damages] == [(p, "does not match its checksum") for p in (state, page)]
    assert store.files_footer("report") is not None
    drop(store, found.damages)
    assert not state.exists() and store.files_footer("report") is None and store.parts("activations/a") == 1
    page.unlink()
    store.write_files("report", {"site/index.html": b"<p>"}, {"version": 1})
    page.unlink()
    assert [str(d) for d in verify(store).damages] == [f"{page}: is missing"]


def test_a_part_of_an_earlier_version_is_read_and_counted(store):
    path = store.part_path("activations/a", 0)
    pq.write_table(store.read("activations/a", 0).replace_schema_metadata({"atlas.content": "0"}), path)
    found = verify(store)
    assert found.whole and found.unsealed == 1
    path.write_bytes(path.read_bytes()[:-30])
    assert not verify(store).whole


def test_what_lies_behind_a_gap_is_read_and_a_gap_of_a_finished_run_is_named(store):
    paths = [store.part_path("activations/a", k) for k in range(4)]
    for k in range(4):
        store.write("activations/a", k, pa.table({"n": [k]}), {"version": 1})
    for k in (0, 2):
        paths[k].unlink()
    assert verify(store).whole  # as a run of several workers that is under way
    paths[3].write_bytes(flipped(paths[3].read_bytes(), 20))
    assert [d.path for d in verify(store).damages] == [paths[3]]
    store.write_json("run.json", {"finished": "now"})
    said = [str(d) for d in verify(store).damages]
    wrong = ["is missing", "is missing", "does not match its checksum"]
    assert said == [f"{paths[k]}: {what}" for k, what in zip((0, 2, 3), wrong, strict=True)]


def test_a_list_of_pages_that_was_damaged_is_named_and_dropped(store):
    listing = store.root / "state/report.files.json"
    listing.write_text(listing.read_text()[:-9])
    found = verify(store)
    assert [str(d) for d in found.damages] == [f"{listing}: cannot be read (no JSON)"]
    drop(store, found.damages)
    assert verify(store).whole and store.files_footer("report") is None
