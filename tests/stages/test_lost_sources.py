"""Places that go while they are read, and errors that pass: what is tried again, what stops a run, what is a reject."""

import errno
import shutil
import socket
import zipfile

import fsspec
import pytest

from activation_atlas.stages import transient as module
from activation_atlas.stages.sources import read_images, reading
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.transient import patiently, transient
from activation_atlas.stages.vision.images import ImageError
from tests.stages.test_sources import png, put


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Seconds that would have been waited."""
    waited = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    return waited


class Answer(Exception):
    def __init__(self, status):
        self.status = status


class ServerDisconnectedError(type("ClientConnectionError", (Exception,), {})):
    """As aiohttp has it, which is no OSError."""


PASSING = [
    *(OSError(getattr(errno, name), "") for name in ("EAGAIN", "ETIMEDOUT", "ECONNRESET", "ECONNREFUSED", "EBUSY")),
    *(Answer(status) for status in (408, 429, 500, 502, 503, 504)),
    *(ConnectionResetError(), TimeoutError(), ServerDisconnectedError(), socket.gaierror(socket.EAI_AGAIN, "")),
]
STAYING = [
    *(OSError(getattr(errno, name), "") for name in ("ENOENT", "EACCES", "EISDIR", "EIO", "ENOSPC")),
    *(Answer(status) for status in (400, 401, 403, 404, 410, 501)),
    *(FileNotFoundError(), PermissionError(), ValueError(), KeyError(), socket.gaierror(socket.EAI_NONAME, "")),
]


def test_what_passes_and_what_stays():
    assert [e for e in PASSING if not transient(e)] == [] == [e for e in STAYING if transient(e)]


def test_what_passes_is_tried_again_and_longer_each_time(waits):
    for error, times in ((PASSING[0], 4), (STAYING[0], 1)):
        calls = []

        def call(error=error, calls=calls):
            calls.append(1)
            raise error

        waits.clear()
        with pytest.raises(OSError) as raised:
            patiently(call)
        assert raised.value is error and len(calls) == times
        assert all(w / 2 <= found <= w for w, found in zip((0, *module.WAITS), waits, strict=False))


def test_a_single_file_that_went_is_a_reject(tmp_path):
    put(tmp_path, "a/0.png", "a/1.png", "b/2.png")
    (tmp_path / "a/0.png").unlink()
    found = list(read_images([str(tmp_path / name) for name in ("a/0.png", "a/1.png", "b/2.png")]))
    assert isinstance(found[0], ImageError) and found[0].reason == "no such file" and isinstance(found[2], bytes)


@pytest.mark.parametrize("emptied", [True, False])
def test_a_folder_that_went_stops_the_run(tmp_path, emptied):
    put(tmp_path, "a/0.png", "a/1.png", "b/2.png")
    reader = read_images([str(tmp_path / name) for name in ("b/2.png", "a/0.png", "a/1.png")])
    assert isinstance(next(reader), bytes)
    shutil.rmtree(tmp_path / "a")
    if emptied:  # as a mount point is
        (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match=r"/a was listed and cannot be read any more .*mount it again.* is kept"):
        next(reader)


def test_a_file_that_may_not_be_read_is_a_reject(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(reading.Path, "read_bytes", refused)
    assert "Permission denied" in next(read_images([str(tmp_path / "nowhere/a.png")])).reason


def test_a_folder_of_a_bucket_that_went_stops_the_run():
    fs = fsspec.filesystem("memory")
    for name in ("a/0.png", "a/1.png", "b/2.png"):
        fs.pipe_file(f"/going/{name}", png())
    uris = [f"memory://going/{name}" for name in ("a/0.png", "a/1.png")]
    fs.rm("/going/a/0.png")
    assert [type(found) for found in read_images(uris)] == [ImageError, bytes]
    fs.rm("/going/a/1.png")
    with pytest.raises(UserError, match="memory://going/a was listed"):
        list(read_images(uris))
    assert next(read_images(uris[:1])).reason == "no such file"  # one alone says nothing of its folder


def test_an_archive_that_went_stops_the_run(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"x.zip was listed and cannot be read any more"):
        next(read_images([f"zip://a.png::{tmp_path / 'x.zip'}"]))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", png(1))
    assert next(read_images([f"zip://a.png::{tmp_path / 'x.zip'}"])) == png(1)


def test_a_server_is_asked_again_and_one_that_stays_away_stops_the_run(monkeypatch, waits):
    fs, asked = fsspec.filesystem("memory"), []
    for k in range(3):
        fs.pipe_file(f"/busy/{k}.png", png(k))
    uris, answers = [f"memory://busy/{k}.png" for k in range(3)], {}

    def cat(path, cat=fs.cat_file):
        asked.append(path)
        left = answers.get(path, [])
        if left:
            raise left.pop()
        return cat(path)

    monkeypatch.setattr(fs, "cat_file", cat)
    answers["/busy/1.png"] = [Answer(503), Answer(429)]
    assert list(read_images(uris)) == [png(0), png(1), png(2)]
    assert asked.count("/busy/1.png") == 3 and asked.count("/busy/0.png") == 1
    asked.clear()
    answers["/busy/1.png"] = [Answer(403)]
    assert [type(found) for found in read_images(uris)] == [bytes, ImageError, bytes] and len(asked) == 3
    for uri in uris:
        answers["/" + uri.removeprefix("memory://")] = [ConnectionResetError("reset by peer") for _ in range(4)]
    with pytest.raises(UserError, match=r"memory://busy/0.png was listed .*reset by peer.* can be reached"):
        list(read_images(uris))
