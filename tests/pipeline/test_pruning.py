"""What ``prune`` removes, in which order, and what it leaves because it could not be made again."""

import hashlib

import pyarrow as pa
import pytest

from activation_atlas import stages
from activation_atlas.pipeline.pruning import ORDER, Pruned, prune
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.stage import UserError

MADE = ["icons/a", "maps/grad_cam", "activations/two", "activations/one", "moments/one"]
STAY = ["predictions", "cues", "layouts/a", "cells/a", "images"]


@pytest.fixture
def store(tmp_path):
    """A finished folder of tables of a row, and a file in the model's place."""
    store, model, photo = Store(tmp_path / "run"), tmp_path / "m.keras", tmp_path / "0.png"
    model.write_bytes(b"weights")
    photo.write_bytes(b"a picture")
    made = {"stage": "extract", "version": stages.stage("extract").version, "library pyarrow": pa.__version__}
    made["model"] = hashlib.sha256(b"weights").hexdigest()
    for name in MADE + STAY:
        for part in range(2):
            store.write(name, part, pa.table({"uri": [str(photo)]}), made)
    store.write_json("run.json", {"config": {"model": {"path": str(model)}}, "finished": "now"})
    return store


def test_what_frees_most_for_the_least_work_goes_first(store):
    sizes = {name: store.size(name) for name in MADE}
    said = prune(store.root, dry_run=True)
    assert [one.name for one in said] == [
        "activations/one", "activations/two", "moments/one", "maps/grad_cam", "icons/a",
    ]  # fmt: skip
    assert said == [Pruned(one.name, sizes[one.name]) for one in said] and len(store.tables()) == 10
    assert not store.lines("log.jsonl")
    # One byte more than a table needs the next as well.
    assert len(prune(store.root, free=sizes["activations/one"], dry_run=True)) == 1
    assert len(prune(store.root, free=sizes["activations/one"] + 1, dry_run=True)) == 2
    assert prune(store.root) == said
    assert store.tables() == sorted(STAY)
    assert store.lines("log.jsonl")[0]["bytes"] == sum(sizes.values())
    assert prune(store.root) == []


def test_what_is_kept_stays(store):
    (store.root / "icons/.tmp-1-part").write_bytes(bytes(1000))
    gone = prune(store.root, ["maps", "activations/two"])
    assert gone[0] == Pruned("leftovers", 1000)
    assert store.tables() == sorted([*STAY, "maps/grad_cam", "activations/two"])
    with pytest.raises(UserError, match="--keep activation: .*activations"):
        prune(store.root, "activation")


def test_what_could_not_be_made_again_stays(store, tmp_path):
    def refused(match, **options):
        with pytest.raises(UserError, match=match):
            prune(store.root, **options)
        assert len(store.tables()) == 10

    (tmp_path / "m.keras").write_bytes(b"trained on")
    refused("activations/one was made with .*m.keras as it was")
    (tmp_path / "m.keras").unlink()
    refused("m.keras does not exist")
    (tmp_path / "m.keras").write_bytes(b"weights")
    (tmp_path / "0.png").rename(tmp_path / "1.png")
    refused("0.png is gone", dry_run=True)
    (tmp_path / "1.png").rename(tmp_path / "0.png")
    old = {**store.footer("icons/a", 0)[0], "library pyarrow": "1.0", "version": 0}
    store.write("icons/a", 0, pa.table({"uri": ["x"]}), old)
    refused("icons/a was made with pyarrow 1.0, another version of activation-atlas.*--keep icons/a")
    with store.lock():
        refused("in use")
    assert len(prune(store.root, "icons/a")) == 4


def test_what_is_not_finished_or_no_run_is_left_alone(store, tmp_path):
    store.write_json("run.json", {"config": {"model": {}}})
    with pytest.raises(UserError, match="has not finished"):
        prune(store.root)
    with pytest.raises(UserError, match="no run folder"):
        prune(tmp_path)
    assert not (tmp_path / "run.lock").exists()


def test_an_image_in_a_file_of_many_is_there_where_the_file_is(store, tmp_path):
    store.write("images", 0, pa.table({"uri": [f"{tmp_path}/0.png#17", "s3://far/0.png", "demo:x#1"]}), {})
    assert prune(store.root)


def test_what_goes_is_in_the_guide():
    from tests.test_docs import ROOT

    guide = (ROOT / "docs/guides/schedules.md").read_text(encoding="utf-8")
    assert [f"| `{name}` | {why} |" for name, why in ORDER.items() if f"| `{name}` | {why} |" not in guide] == []
    places = [guide.index(f"| `{name}` |") for name in ORDER]
    assert places == sorted(places)
