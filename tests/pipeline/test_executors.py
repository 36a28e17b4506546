"""Every executor does the same: all tasks, any order, the first fault stops the rest."""

import pytest

from activation_atlas.pipeline.executors import EXECUTORS, executor
from activation_atlas.stages.stage import UserError


def square(n):
    if n < 0:
        raise UserError(f"{n} is negative: give a positive number")
    return n * n


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "processes" else n for n in EXECUTORS]
)
def test_all_results_come_back_and_faults_come_through(name):
    with executor(name, 2) as run:
        assert sorted(run(square, range(7))) == [n * n for n in range(7)]
        assert list(run(square, [])) == []
        with pytest.raises(UserError, match="-1 is negative"):
            list(run(square, [1, -1, 2]))


def die(n):
    import os

    os._exit(1)


@pytest.mark.slow
def test_workers_that_die_are_one_line():
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), executor("processes", 1) as run:
        with pytest.raises(UserError, match="died again and again.*fewer --workers"):
            list(run(die, [1]))


@pytest.mark.slow
def test_a_dask_cluster_by_its_address():
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        with executor(cluster.scheduler_address) as run:
            assert sorted(run(square, range(5))) == [0, 1, 4, 9, 16]


def test_names_and_numbers_that_do_not_exist():
    with pytest.raises(UserError, match="choose sync, threads, processes"):
        executor("cluster")
    with pytest.raises(UserError, match="give at least 1"):
        executor("threads", 0)


@pytest.mark.slow
def test_an_address_where_nothing_answers():
    with pytest.raises(UserError, match="no Dask scheduler answers there"), executor("tcp://127.0.0.1:1"):
        pass
