"""A stage is one file and one line of the table of contents: the runner knows none by name."""

import json
import sys

import pytest

from activation_atlas import stages
from activation_atlas.pipeline import runner
from activation_atlas.pipeline.config import Config, load
from activation_atlas.pipeline.cost import line
from activation_atlas.pipeline.plan import Planner
from activation_atlas.pipeline.progress import Progress
from activation_atlas.pipeline.runner import together
from activation_atlas.pipeline.steps import steps
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.stage import PAGE, REJECTS, UserError

STAGE = '''
"""numbers -> rejects and doubts: a stage as anyone may write it."""

import pyarrow as pa

from activation_atlas.stages.specs import Spec
from activation_atlas.stages.stage import Shard, Stage


class Section(Spec):
    numbers: int = 3


class Params(Section):
    seed: int


def shards(inputs, params):
    return [Shard(k, k, k + 1) for k in range(params.numbers)]


def run(inputs, params, shard):
    lost = [f"{shard.index:02x}"] if shard.index == params.seed else []
    kept = [] if lost else [f"{shard.index:02x}"]
    images, rejects = (pa.table({"image_id": pa.array(ids, pa.string())}) for ids in (kept, lost))
    doubts = [{"message": "it looks odd", "remedy": "look again"}] if lost else []
    doubts = pa.Table.from_pylist(doubts, pa.schema([("message", pa.string()), ("remedy", pa.string())]))
    return {"images": images, "rejects/mine": rejects, "odd": doubts}


STAGE = Stage(
    name="mine",
    version=1,
    about="a stage of three numbers",
    params=Params,
    shards=shards,
    run=run,
    reads=lambda params: {},
    writes=lambda params: ("images", "rejects/mine", "odd"),
    stamps=lambda params, shards: ["same"] * len(shards),
    section=Section,
    steps=lambda asked: [("", {"seed": asked.config.run.seed, "numbers": asked.config.mine.numbers})],
    rejects=lambda params: ("rejects/mine",),
    doubts="odd",
    cost=lambda asked, images: [f"{images} numbers"],
)
'''


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A configuration of a pipeline whose only stage lies in one file."""
    (tmp_path / "mine.py").write_text(STAGE)
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(tmp_path)])
    monkeypatch.setattr(stages, "ORDER", ("mine",))
    text = "{run: {seed: 1}, model: {path: m.keras}, images: {path: images}, mine: {numbers: 3}}"
    (tmp_path / "mine.yaml").write_text(text)
    yield load(str(tmp_path / "mine.yaml"))
    sys.modules.pop("activation_atlas.stages.mine", None)


def test_a_stage_of_ones_own_is_run_resumed_counted_and_told(config, tmp_path):
    store = Store(tmp_path / "run")
    plans = Planner(store).preview(steps(config))
    assert line(config, plans) == "to do: mine; 3 numbers"
    done = runner.run(config, str(store.root), Progress())
    assert (done.ran, done.images, done.rejected) == (3, 3, 1)
    assert done.doubts == [{"message": "it looks odd", "remedy": "look again"}]
    more = load(str(tmp_path / "mine.yaml"), ["mine.numbers=2"])
    assert [len(plan.todo) for plan in Planner(store).preview(steps(more))] == [2], "a parameter is in the fingerprint"
    with pytest.raises(UserError, match="mine.number: unknown key; did you mean numbers?"):
        load(str(tmp_path / "mine.yaml"), ["mine.number=2"])
    store.part_path("odd", 2).unlink()
    assert runner.run(config, str(store.root), Progress()).ran == 1
    assert json.loads((store.root / "run.json").read_text())["tables"]["odd"]["rows"] == 1


def test_what_is_written_for_a_shard_does_not_grow_with_the_shards(config, tmp_path, monkeypatch):
    written = []
    write_json = Store.write_json
    monkeypatch.setattr(
        Store, "write_json", lambda self, name, value: (written.append(name), write_json(self, name, value))
    )
    runner.run(config, str(tmp_path / "run"), Progress())
    assert written == ["running.json", *["run.json"] * 3], "when it begins, after the stage, when it ends"
    assert not (tmp_path / "run/run.jsonl").exists()


def test_what_is_known_of_a_run_folder_without_its_stages_holds_of_all_stages():
    made = steps(load("demo"))
    rejects = {t for s in made for t in s.stage.rejects(s.params)}
    assert rejects and rejects == {t for s in made for t in s.stage.writes(s.params) if t.startswith(REJECTS)}
    assert {s.stage.page for s in made} == {None, PAGE}


def test_moments_are_taken_once_of_each_layer_that_is_drawn_and_of_no_other():
    atlas = {"grids": [2], "render": {"grids": [2]}}
    atlases = [
        {**atlas, "name": "a", "layer": "block/one"},
        {**atlas, "name": "b", "layer": "block/one", "class": "x"},
        {**atlas, "name": "c", "layer": "two", "render": None},
        {**atlas, "name": "d", "layer": "three", "images": True},
    ]
    whole = {"model": {"path": "m"}, "images": {"path": "x"}, "extract": {"layers": ["four"]}, "atlases": atlases}
    made = steps(Config.model_validate(whole))
    assert [s.stage.writes(s.params) for s in made if s.stage.name == "moments"] == [["moments/block__one"]]
    read = {s.label: list(s.stage.fit_reads(s.params))[0] for s in made if s.stage.name == "render"}
    assert read == {"a": "moments/block__one", "b": "moments/block__one", "d": "features/three"}
    later = steps(Config.model_validate({**whole, "atlases": [*atlases[:2], {**atlases[2], **atlas}, atlases[3]]}))
    extract = [next(s.params for s in each if s.stage.name == "extract") for each in (made, later)]
    assert extract[0] == extract[1], "render that is switched on later takes no pass over the images"
    assert [s.label for s in later if s.stage.name == "moments"] == ["block__one", "two"]


def test_steps_of_a_stage_that_read_one_another_follow_one_another():
    explain = {"methods": ["grad_cam", "saliency"]}
    whole = {"model": {"path": "m"}, "images": {"path": "x"}, "explain": explain, "evaluate": {}}
    names = [[step.label for step in group] for group in together(steps(Config.model_validate(whole)))]
    assert names[-3:] == [["grad_cam", "saliency", "every two"], [""], [""]]  # sanity, sanity, report
