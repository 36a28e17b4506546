"""The one way in for images: in order, ahead of the model, a bounded number at a time, none lost."""

import threading

import numpy as np
import pytest
from PIL import Image

from activation_atlas.stages.feed import Feed, as_shown, at_size, threads_of, upright
from activation_atlas.stages.feed.decoding import decoded
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.vision.images import ImageError, decode_to

SIZE = (6, 4)
BROKEN = {"k2": "not an image", "k5": "no such file", "k6": "not an image"}


@pytest.fixture
def uris(tmp_path):
    """Nine images by key; two are no images, one is not there."""
    found = {}
    for k in range(9):
        path = tmp_path / f"{k}.png"
        if k in (2, 6):
            path.write_bytes(b"nothing")
        elif k != 5:
            pixels = np.random.default_rng(k).integers(0, 256, (20 + k, 30, 3), np.uint8)
            Image.fromarray(pixels).save(path)
        found[f"k{k}"] = str(path)
    return found


def alone(uri, images):
    """A slow twin: one image, read and decoded by itself."""
    with open(uri, "rb") as file:
        return decode_to(file.read(), SIZE, images.crop, 3)


@pytest.mark.parametrize("size, threads", [(1, 1), (4, 3), (9, 2), (100, None)])
def test_batches_hold_every_image_once_in_order_and_the_others_with_their_reason(uris, size, threads):
    images = ImagesSpec(path="", crop="none")
    found, rejected = {}, {}
    batches = list(Feed(images, at_size(images, SIZE), threads).batches(uris, size))
    for batch in batches:
        assert len(batch.keys) + len(batch.rejected) <= size
        found |= dict(zip(batch.keys, batch.images, strict=True))
        rejected |= batch.rejected
    assert len(batches) == -(-len(uris) // size)
    assert list(found) == [key for key in uris if key not in BROKEN]
    assert list(rejected) == list(BROKEN) and all(why in rejected[key] for key, why in BROKEN.items())
    for key, pixels in found.items():
        np.testing.assert_array_equal(pixels, alone(uris[key], images))


def test_the_first_that_can_be_used(uris):
    images = ImagesSpec(path="")
    feed = Feed(images, at_size(images, SIZE, channels=1))
    assert list(feed.first(uris, 4)) == ["k0", "k1", "k3", "k4"] and feed.first(uris, 0) == {}
    assert list(feed.first(uris, 50)) == [key for key in uris if key not in BROKEN]
    assert all(pixels.shape == (*SIZE, 1) for pixels in feed.first(uris, 2).values())


def test_what_is_large_is_refused_and_levels_are_the_sections(tmp_path):
    Image.fromarray(np.array([[0, 400, 1000]], np.uint16)).save(tmp_path / "a.png")
    for given, expected in (({}, None), ({"levels": [0, 1000]}, [0, 102, 255]), ({"max_pixels": 2}, "max_pixels = 2")):
        images = ImagesSpec(path="", **given)
        for prepare in (upright(images), at_size(images, (1, 3))):
            ((_, found),) = Feed(images, prepare).stream({"a": str(tmp_path / "a.png")})
            if isinstance(expected, str):
                assert isinstance(found, ImageError) and expected in found.reason
            elif expected:
                np.testing.assert_array_equal(found[0, :, 0], expected)


@pytest.mark.parametrize(
    "crop, squeezed, undistorted",
    [("center", (12, 12), (12, 12)), ("pad", (12, 12), (12, 12)), ("none", (12, 12), (12, 24))],
)
def test_what_the_model_was_shown_in_finer_pixels(tmp_path, crop, squeezed, undistorted):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.png")
    images = ImagesSpec(path="", crop=crop)
    for edge, scale in ((12, 1), (10_000, 20 / 12)):  # at most the image's own resolution
        ((_, views),) = Feed(images, as_shown(images, (8, 8), edge)).stream({"a": str(tmp_path / "a.png")})
        assert views.squeezed.shape[:2] == tuple(round(scale * s) for s in squeezed)
        assert views.undistorted.shape[:2] == tuple(round(scale * s) for s in undistorted)


def test_a_share_of_the_middle_is_shown_as_the_model_saw_it(tmp_path):
    # Of 40 x 40 the middle 20 are red, all around is blue.
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[..., 2], pixels[10:30, 10:30] = 255, (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    images = ImagesSpec(path="", crop_share=0.5, interpolation="nearest")
    for prepare in (as_shown(images, (8, 8), 20), at_size(images, (8, 8))):
        ((_, found),) = Feed(images, prepare).stream({"a": str(tmp_path / "a.png")})
        found = found if isinstance(found, np.ndarray) else found.squeezed
        inner = (slice(2, -2), slice(2, -2))
        assert (found[inner] == (255, 0, 0)).all() and len(found) in (8, 20)
    # What the model brings along is taken where nothing is said.
    brought = {"crop": "none", "interpolation": "bicubic", "antialias": False}
    assert ImagesSpec(path="", crop="pad").settled(brought) == ImagesSpec(path="", **{**brought, "crop": "pad"})
    assert images.settled(brought).crop is None and images.settled(brought).antialias is False


def test_a_feed_that_is_left_leaves_no_thread(uris):
    images = ImagesSpec(path="")
    before = threading.active_count()
    batches = Feed(images, at_size(images, SIZE), 3).batches(uris, 2)
    assert next(batches).keys == ["k0", "k1"]
    batches.close()
    assert threading.active_count() == before


def test_threads_are_as_asked_or_one_for_each_core_at_most_eight(monkeypatch):
    for cores, expected in ((2, 2), (64, 8), (None, 1)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert threads_of() == expected and threads_of(5) == 5


def test_only_so_many_images_are_held():
    held, most = set(), []

    def items():
        for k in range(40):
            held.add(k)
            most.append(len(held))
            yield bytes([k])

    for k, value in enumerate(decoded(items(), lambda data: data[0], ahead=3, threads=2)):
        assert value == k
        held.discard(k)
    assert max(most) <= 3 + 3  # the queue, one at either end, and the one just yielded


def test_a_reader_that_fails_and_one_that_is_left():
    def fails():
        yield b"a"
        raise OSError("the disk is gone")

    stream = decoded(fails(), len, 2, 1)
    assert next(stream) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)
    endless = decoded((b"x" for _ in iter(int, 1)), len, 2, 1)
    assert next(endless) == 1
    endless.close()

    def refuse(data):
        raise ImageError("no")

    assert [e.reason for e in decoded([b"x", ImageError("earlier")], refuse, 2, 1)] == ["no", "earlier"]
