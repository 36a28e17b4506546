"""The run folder: atomic parts, digests, state, files, the lock."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.pipeline.digest import content_digest
from activation_atlas.pipeline.store import LOG, Store
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables import from_numpy


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "run")


def table(n=3):
    values = np.arange(2 * n, dtype="f4").reshape(n, 2)
    return pa.table({"image_id": [f"{k:016x}" for k in range(n)], "v": from_numpy(values)})


def test_a_part_comes_back_with_its_fingerprint(store):
    store.write("activations/a", 0, table(), {"version": 1})
    store.write("activations/a", 1, table(5), {"version": 1})
    assert store.parts("activations/a") == 2
    assert store.rows("activations/a") == 8
    assert store.read("activations/a", 1).equals(table(5))
    assert store.footer("activations/a", 0) == ({"version": 1}, content_digest(table()))
    assert store.tables() == ["activations/a"]


def test_the_same_table_gives_the_same_bytes(store):
    chunks = pa.concat_tables([table(3), table(4)])
    store.write("a", 0, chunks, {"k": 1})
    store.write("b", 0, chunks.combine_chunks(), {"k": 1})
    assert store.part_path("a", 0).read_bytes() == store.part_path("b", 0).read_bytes()


def test_the_digest_sees_values_schema_and_slices():
    assert content_digest(table(5).slice(2)) == content_digest(table(5).slice(2).take([0, 1, 2]))
    assert content_digest(table(3)) != content_digest(table(4))
    assert content_digest(pa.table({"a": [1]})) != content_digest(pa.table({"b": [1]}))


def test_a_gap_ends_a_table(store):
    store.write("a", 0, table(), {})
    store.write("a", 2, table(), {})
    assert store.parts("a") == 1
    store.trim("a", 1)
    assert not store.part_path("a", 2).exists()


def test_a_damaged_part_counts_as_missing_and_says_so_when_read(store):
    store.write("a", 0, table(), {})
    path = store.part_path("a", 0)
    path.write_bytes(path.read_bytes()[:40])
    assert store.footer("a", 0) is None
    with pytest.raises(UserError, match="with --repair"):
        store.read("a", 0)


def test_what_a_kill_leaves_is_swept(store):
    store.write("a", 0, table(), {})
    (store.root / "a" / ".tmp-1-part-00001.parquet").write_bytes(b"half")
    store.sweep()
    assert [p.name for p in (store.root / "a").iterdir()] == ["part-00000.parquet"]


def test_state_comes_back_and_is_reproducible(store):
    state = {"m": np.eye(3), "names": ["a", "ü"], "n": 3, "empty": np.zeros((0, 2))}
    store.write_state("reduce", "x", state, {"version": 2})
    first = store.state_path("reduce", "x").read_bytes()
    back = store.read_state("reduce", "x")
    assert back["names"] == ["a", "ü"] and back["n"] == 3
    np.testing.assert_array_equal(back["m"], np.eye(3))
    assert store.state_footer("reduce", "x")[0] == {"version": 2}
    store.write_state("reduce", "x", dict(reversed(state.items())), {"version": 2})
    assert store.state_path("reduce", "x").read_bytes() == first


def test_state_that_is_missing_says_what_to_do(store):
    with pytest.raises(UserError, match="run the pipeline again"):
        store.read_state("reduce", "x")


def test_files_are_current_only_while_all_are_there(store):
    store.write_files("report", {"site/index.html": b"<p>", "figures/a.png": b"1"}, {"v": 1})
    assert store.files_footer("report") == {"v": 1}
    store.write_files("report", {"site/index.html": b"<p>"}, {"v": 2})
    assert not (store.root / "figures/a.png").exists()
    (store.root / "site/index.html").unlink()
    assert store.files_footer("report") is None


def test_files_that_were_half_replaced_belong_to_nobody(store, monkeypatch):
    store.write_files("report", {"site/index.html": b"old", "site/old.png": b"1"}, {"v": 1})
    replace = store._replace

    def killed(path, save):
        if path.name == "later.png":
            raise KeyboardInterrupt
        return replace(path, save)

    monkeypatch.setattr(store, "_replace", killed)
    with pytest.raises(KeyboardInterrupt):
        files = {"site/index.html": b"new", "site/new.png": b"2", "site/later.png": b"3"}
        store.write_files("report", files, {"v": 2})
    monkeypatch.undo()
    assert store.files_footer("report") is None  # neither the old page, though all its files are there, nor the new
    store.write_files("report", {"site/index.html": b"old", "site/old.png": b"1"}, {"v": 1})
    assert sorted(p.name for p in (store.root / "site").iterdir()) == ["index.html", "old.png"]


@pytest.mark.parametrize("left", [0, 40, 300])
def test_damaged_state_counts_as_missing(store, left):
    store.write_state("reduce", "x", {"m": np.eye(3)}, {"version": 2})
    path = store.state_path("reduce", "x")
    path.write_bytes(path.read_bytes()[:left])
    assert store.state_footer("reduce", "x") is None


def test_files_stay_inside_the_run_folder(store):
    with pytest.raises(ValueError, match="outside"):
        store.write_files("report", {"../escaped": b""}, {})


def test_a_second_process_is_told_who_holds_the_folder(store):
    code = "import sys; from activation_atlas.pipeline.store import Store\n"
    code += "with Store(sys.argv[1]).lock(): print('in', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline().strip() == "in"
        with pytest.raises(UserError, match=f"in use by process {holder.pid} on"), store.lock():
            pass
    finally:
        holder.kill()
        holder.wait()
    with store.lock():  # the holder was killed: its lock went with it
        assert str(os.getpid()) in (store.root / "run.lock").read_text()


def test_a_lock_that_outlives_its_holder_is_told_as_such(store):
    code = "import os, sys, time; from activation_atlas.pipeline.store import Store\n"
    code += "held = Store(sys.argv[1]).lock(); held.__enter__(); child = os.fork()\n"
    code += "print(child, flush=True) if child else time.sleep(60)\nos._exit(0)"
    started = [sys.executable, "-c", code, str(store.root)]
    holder = subprocess.Popen(started, stdout=subprocess.PIPE, text=True)
    child = int(holder.stdout.readline())
    holder.wait()
    try:
        with pytest.raises(UserError, match=f"process {holder.pid} on .*, which has ended"), store.lock():
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()


def test_a_drive_without_locks_is_told_and_used(store, monkeypatch, caplog):
    def refused(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with store.lock():
        assert "its file system keeps no locks ([Errno" in caplog.text and "no other run" in caplog.text


def test_a_folder_that_is_somebody_elses_is_refused(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="not empty and not a run folder"), Store(tmp_path).lock():
        pass


def test_a_full_disk_is_one_line_and_leaves_no_half_file(store, monkeypatch):
    import pyarrow.parquet as pq

    def full(data, path, **_):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(UserError, match="no space left writing"):
        store.write("a", 0, table(), {})
    assert list((store.root / "a").iterdir()) == []


def test_a_log_on_a_full_disk_is_one_line(store):
    store.root.mkdir()
    (store.root / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match="no space left writing"):
        store.append(LOG, {"event": "start"})


def test_two_writers_of_a_part_never_share_a_file(store, monkeypatch):
    import pyarrow.parquet as pq

    used = []
    write = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda data, path, **k: used.append(path) or write(data, path, **k))
    store.write("a", 0, table(), {})
    store.write("a", 0, table(), {})
    assert len(set(used)) == 2 and [p.name for p in (store.root / "a").iterdir()] == ["part-00000.parquet"]


def test_a_digest_opens_a_footer_once_while_the_file_stays(store, monkeypatch):
    for k in range(3):
        store.write("numbers", k, pa.table({"n": [k]}), {})
    first, opened = store.digest("numbers"), []
    footer = Store.footer
    monkeypatch.setattr(Store, "footer", lambda self, table, k: opened.append(k) or footer(self, table, k))
    assert store.digest("numbers") == first and opened == []
    store.write("numbers", 1, pa.table({"n": [9]}), {})
    assert store.digest("numbers") != first and opened == [1]
    assert Store(store.root).digest("numbers") == store.digest("numbers")


def test_what_was_read_is_digested_as_what_was_made(tmp_path):
    """Parquet numbers the fields and calls what is in a list by another name."""
    member = pa.list_(pa.struct([("id", pa.string()), ("at", pa.list_(pa.float32(), 2))]))
    made = pa.table({"a": [1, 2], "b": pa.array([[{"id": "x", "at": [0.5, 1]}], []], member)})
    store = Store(tmp_path)
    store.write("one", 0, made, {})
    store.write("two", 0, store.read("one", 0), {})
    assert store.content("one", 0) == store.content("two", 0) == content_digest(made)
    assert store.part_path("one", 0).read_bytes() == store.part_path("two", 0).read_bytes()
