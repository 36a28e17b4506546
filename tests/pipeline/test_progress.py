"""What a run tells while it runs: time left from the first shard on, and a line now and then."""

import json
import logging
import threading
import time

import pytest

from activation_atlas.pipeline import progress
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.cost import line
from activation_atlas.pipeline.plan import StepPlan
from activation_atlas.pipeline.progress import Bars, JsonLines, Pace, Plain, spelled
from activation_atlas.pipeline.steps import steps
from activation_atlas.stages.methods import METHODS


def test_times_are_spelled():
    assert [spelled(s) for s in (0.4, 89, 90, 3540, 3600, 5000)] == [
        "0 s",
        "89 s",
        "2 min",
        "59 min",
        "1 h 0 min",
        "1 h 23 min",
    ]


def test_the_time_left_follows_from_the_first_shard(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    pace = Pace(4)
    now[0] = 106.0
    assert (pace.gone, pace.left) == (6.0, None)
    pace.done = 1
    assert pace.left == 18.0
    bars = Bars()
    bars.begin("extract", 4, 4, "missing")
    now[0] += 10
    task = bars._bars.tasks[0]
    column = bars._bars.columns[-1]
    assert column.render(task).plain == ""
    bars.advance("extract")
    assert column.render(task).plain == "30 s left"


@pytest.mark.parametrize("kind", [Plain, JsonLines])
def test_a_long_step_says_how_far_it_is_also_in_a_pipe(kind, monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.05)
    with kind() as told:
        told.begin("render", 2, 2, "missing")
        time.sleep(0.15)  # no shard is done yet
        told.advance("render")
        time.sleep(0.15)
        told.advance("render")
        told.end("render", 0.3, 7)
        before = capsys.readouterr().err
        time.sleep(0.12)
    assert not capsys.readouterr().err, "nothing is said of what is over"
    lines = before.splitlines()
    if kind is Plain:
        assert lines[1].startswith("render: 0 of 2 done in 0 s") and "left" not in lines[1]
        assert any(said == "render: 1 of 2 done in 0 s, about 0 s left" for said in lines)
        assert lines[-1] == "render: done in 0.3 s, 7 rows"
    else:
        events = [json.loads(said) for said in lines]
        assert events[1] == {**events[1], "event": "progress", "done": 0, "todo": 2, "left": None}
        shards = [e for e in events if e["event"] == "shard"]
        assert [(e["done"], e["todo"]) for e in shards] == [(1, 2), (2, 2)]
        assert shards[0]["left"] > 0 and shards[1]["left"] == 0


def test_what_a_run_will_cost_is_one_line():
    atlas = {"name": "a", "layer": "c", "grids": [4, 8], "render": {"grids": [4, 8], "steps": 32}}
    chosen = {"name": "b", "layer": "c", "class": "x", "rows": 30, "grids": [4], "render": {"grids": [4], "steps": 64}}
    config = Config.model_validate(
        {
            "model": {"path": "m.keras", "classes": ["x", "y"]},
            "images": {"path": "images"},
            "extract": {"positions_per_image": 2},
            "atlases": [atlas, chosen],
            "explain": {"methods": ["grad_cam", "rise", "score_cam"], "limit": 50},
            "evaluate": {"insertion": False, "steps": 20, "limit": 30, "randomization": {"images": 8, "depths": 3}},
        }
    )
    plans = [StepPlan(step, items=100) for step in steps(config)]
    # 16 of 16 cells, 40 of 64 (200 rows, 5 a cell), 6 of 16 (30 rows).
    assert line(config, plans) == (
        f"to do: {', '.join(dict.fromkeys(plan.step.stage.name for plan in plans))}; 100 images x 1 forward pass; "
        "2 atlases, at most 62 icons x 32 to 64 steps; maps of at most 50 images for predicted, label, "
        "passes for a map: grad_cam 1, rise 1,000, score_cam (as many as the layer has channels); "
        "at most 20 passes to score each map of at most 30 images; "
        "maps of at most 8 images made again by 3 shuffled models"
    )
    assert line(config, [StepPlan(plans[0].step, shards=1)]) is None


def test_what_the_smooth_form_takes_is_told():
    given = {"model": {"path": "m.keras"}, "images": {"path": "images"}, "explain": {}}
    config = Config.model_validate(given | {"evaluate": {"randomization": {"images": 8, "depths": 3, "smooth": 20}}})
    told = line(config, [StepPlan(step, items=100) for step in steps(config)])
    assert told.endswith(
        "maps of at most 8 images made again by 3 shuffled models; "
        "the same of 20 copies of each image, and once more by the model itself"
    )


def test_passes_of_a_method():
    occlusion = METHODS["occlusion"].options(patch=32, stride=16)
    assert occlusion.passes((224, 224)) == 13**2 and occlusion.passes((224, 96)) == 13 * 5
    assert METHODS["occlusion"].options().passes((224, 224)) == 13**2, "windows follow from the input's size"
    clipped = METHODS["occlusion"].options(patch=32, stride=16, edges="clip")
    assert clipped.passes((224, 96)) == 14 * 6 and occlusion.passes((16, 16)) == 0
    assert occlusion.passes(None) == "as many as there are windows"
    assert METHODS["score_cam"].options(channels=8).passes((16, 16)) == "at most 8"
    assert METHODS["smooth_grad"].options(samples=7).passes(None) == 7


def test_what_is_logged_at_work_is_told_in_its_name_and_once():
    told, shown = [], []

    class Shown(progress.Progress):
        def say(self, message, level="info"):
            shown.append(message)

    log = logging.getLogger("activation_atlas.stages.anything")
    with progress.logged(Shown()):
        with progress.gathered(told.append):
            log.warning("a layer goes\nanother way")
            thread = threading.Thread(target=log.warning, args=("and so does its thread",))
            thread.start()
            thread.join()
        log.warning("afterwards")
    assert told == ["a layer goes another way", "and so does its thread"]
    assert shown == ["afterwards"]
