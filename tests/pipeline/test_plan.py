"""What is stale, and why: the toy pipeline, run by hand."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from activation_atlas.pipeline.plan import OLD_STAMPS, STAMPS, Planner, compact, differs, stamped
from activation_atlas.pipeline.store import Store
from activation_atlas.pipeline.worker import work
from activation_atlas.stages.stage import UserError
from tests.pipeline import toy


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("1 2 3\n4 5\n6")
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the steps; returns (stage, shard) of what it did and the first reason of each step."""
    toy.install(monkeypatch)
    store = Store(tmp_path / "run")

    def execute(steps):
        did, reasons = [], {}
        for step in steps:
            planner = Planner(store)
            if (fit := planner.fit(step)) is not None:
                did.append((step.stage.name, "fit"))
                work(fit)
            plan = planner.plan(step)
            for task in plan.todo:
                did.append((step.stage.name, task.shard.index))
                work(task)
                if task.stamp is not None:
                    store.append(STAMPS, {f"{task.stage}/{task.shard.index}": task.stamp})
            reasons[step.stage.name] = plan.reason
        return did, reasons

    execute.store = store
    return execute


NUMBERS, SQUARES = [("numbers", k) for k in range(3)], [("squares", "fit"), *[("squares", k) for k in range(3)]]
ALL = [*NUMBERS, *SQUARES, ("total", 0)]


def test_everything_once_then_nothing(run, file):
    assert run(toy.steps(file))[0] == ALL
    assert run(toy.steps(file))[0] == []
    # (n - 1)^2 summed by hand: 0 + 1 + 4 + 9 + 16 + 25
    assert (run.store.root / "site/total.txt").read_text() == "sum 55"


def test_a_missing_part_is_made_again_and_nothing_else(run, file):
    run(toy.steps(file))
    run.store.part_path("squares", 1).unlink()
    assert run(toy.steps(file))[0] == [("squares", 1)]  # the same bytes come out, so the total stands


def test_a_changed_parameter_is_named(run, file):
    run(toy.steps(file))
    did, reasons = run(toy.steps(file, power=3))
    assert did == ALL[3:]
    assert reasons["squares"] == "params.power was 2, is 3"
    assert run(toy.steps(file, power=3, title="t"))[0] == [("total", 0)]


def test_a_changed_line_reruns_its_shard_and_what_follows(run, file):
    run(toy.steps(file))
    file.write_text("1 2 3\n4 7\n6")
    did, reasons = run(toy.steps(file))
    assert did == [("numbers", 1), ("squares", "fit"), ("squares", 1), ("total", 0)]
    assert reasons["numbers"] == "the images have changed or were never read"
    assert reasons["squares"] == "input numbers has changed"


def test_a_folder_with_the_old_record_of_stamps_is_read_no_second_time(run, file):
    run(toy.steps(file))
    known = stamped(run.store)
    run.store.write_json(OLD_STAMPS, known)
    run.store.remove(STAMPS)
    assert run(toy.steps(file))[0] == []
    compact(run.store)
    assert run.store.read_json(OLD_STAMPS) is None and run.store.lines(STAMPS) == [known]
    file.write_text("1 2 3\n4 7\n6")
    assert run(toy.steps(file))[0][0] == ("numbers", 1)


def test_a_new_least_number_reruns_all_squares(run, file):
    run(toy.steps(file))
    file.write_text("0 2 3\n4 5\n6")
    assert run(toy.steps(file))[0] == [("numbers", 0), *ALL[3:]]


def test_a_lost_file_of_the_page_is_made_again(run, file):
    run(toy.steps(file))
    (run.store.root / "site/total.txt").unlink()
    assert run(toy.steps(file))[0] == [("total", 0)]


def test_a_new_version_of_a_stage_is_named(run, file, monkeypatch):
    run(toy.steps(file))
    monkeypatch.setitem(toy.STAGES, "squares", dataclasses.replace(toy.SQUARES, version=2))
    assert run(toy.steps(file))[1]["squares"] == "version was 1, is 2"


def test_a_worker_of_another_version_writes_nothing(run, file, monkeypatch):
    steps = toy.steps(file)
    run(steps[:1])
    task = Planner(run.store).fit(steps[1])
    monkeypatch.setitem(toy.STAGES, "squares", dataclasses.replace(toy.SQUARES, version=2))
    with pytest.raises(UserError, match="version of stage squares is 2 there and 1 here"):
        work(task)
    assert not run.store.state_path("squares", "").exists()


def test_work_is_done_in_the_run_folder_wherever_the_worker_was_started(file, tmp_path, monkeypatch):
    toy.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    task = Planner(Store("run")).plan(toy.steps(file)[0]).todo[0]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    work(task)
    assert Store(tmp_path / "run").parts("numbers") == 1


def test_a_stage_that_bears_no_threads_works_alone(run, file, monkeypatch):
    together, most = [], []

    def slow(inputs, params, shard):
        together.append(shard)
        time.sleep(0.05)
        most.append(len(together))
        together.remove(shard)
        return toy._run_numbers(inputs, params, shard)

    monkeypatch.setitem(toy.STAGES, "numbers", dataclasses.replace(toy.NUMBERS, run=slow, threads=False))
    todo = Planner(run.store).plan(toy.steps(file)[0]).todo
    with ThreadPoolExecutor(3) as pool:  # as a Dask worker at an address may have
        list(pool.map(work, todo))
    assert most == [1, 1, 1]


def test_preview_sees_that_the_source_has_shrunk(run, file):
    run(toy.steps(file))
    file.write_text("1 2 3\n4 5")
    numbers, squares, total = Planner(run.store).preview(toy.steps(file))
    assert (numbers.done, numbers.todo, numbers.reason) == (False, [], "there is less than before")
    assert squares.reason == "after numbers" and not total.done


def test_preview_says_what_waits_for_what(run, file):
    plans = Planner(run.store).preview(toy.steps(file))
    assert [(p.done, len(p.todo), p.reason) for p in plans] == [
        (False, 3, "missing"),
        (False, 0, "after numbers"),
        (False, 0, "after squares"),
    ]
    run(toy.steps(file))
    assert all(p.done for p in Planner(run.store).preview(toy.steps(file)))


def test_a_file_is_hashed_once_while_size_and_time_stay(run, file):
    planner = Planner(run.store)
    first = planner.file_hash(str(file), "model.path")
    planner.save()
    again = Planner(run.store)
    again._hashes[str(file)][2] = "remembered"
    assert again.file_hash(str(file), "model.path") == "remembered"
    file.write_text("other")
    assert again.file_hash(str(file), "model.path") not in (first, "remembered")


def test_the_first_key_that_differs_is_named():
    assert differs(None, {}) == "missing"
    assert differs({"a": 1, "b": 2}, {"a": 1, "b": 2}) is None
    assert differs({"a": 1}, {"a": 1, "b": 2}) == "b was null, is 2"
    assert differs({"a": 1, "c": 2}, {"a": 1}) == "c was 2, is null"
