"""Shards that hang are ended, tried once more, and named; fits and quick shards are left alone."""

import os
import time

import pytest

from activation_atlas.pipeline.plan import Work
from activation_atlas.pipeline.watchdog import HUNG, watched, working
from activation_atlas.pipeline.worker import work
from activation_atlas.stages.stage import Shard, UserError


@pytest.fixture
def task(tmp_path):
    return Work(str(tmp_path), "render", "late", None, Shard(3, 3, 4), {})


def status(seconds, task, do):
    """Exit status of a process that does it."""
    process = os.fork()
    if not process:
        watched(seconds, task, do)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def hang(task):
    time.sleep(60)


def test_what_hangs_is_ended_twice_and_then_named(task, tmp_path):
    assert status(0.1, task, hang) == 1
    (report,) = (tmp_path / HUNG).iterdir()
    assert "in hang" in report.read_text()
    assert status(0.1, task, hang) == 1
    with pytest.raises(UserError, match="^shard 3 of render/late took longer than run.shard_timeout, 0.1 s, twice"):
        watched(0.1, task, hang)
    working([task], 0.1)  # another run begins
    assert not list((tmp_path / HUNG).iterdir())


def test_what_hung_once_may_still_be_done(task, tmp_path):
    assert status(0.1, task, hang) == 1
    assert watched(60, task, lambda task: task.shard.index) == 3
    assert not list((tmp_path / HUNG).iterdir())
    assert status(60, task, lambda task: os._exit(7)) == 7  # that is no hang
    assert watched(60, task, lambda task: "done") == "done"


def test_fits_and_shards_without_a_limit_are_not_watched(task):
    fit = Work(task.root, "reduce", "", None, None, {})
    assert working([fit], 5) is work and working([task], None) is work and working([task], 5) is not work
