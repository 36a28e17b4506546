"""THE dask: map a function over tasks, in this process, on threads, on a LocalCluster, or at an address.

Every executor is a context manager that yields ``map(function, tasks)``, an
iterator over the results in the order they are finished. The first exception
stops the rest.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from activation_atlas.stages.stage import UserError

DEATHS = 3
"""Workers that a task may cost before it is given up."""

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


@contextmanager
def _sync(workers: int, deaths: int) -> Iterator[Map]:
    yield lambda function, tasks: (function(task) for task in tasks)


@contextmanager
def _threads(workers: int, deaths: int) -> Iterator[Map]:
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(workers) as pool:

        def run(function, tasks):
            futures = [pool.submit(function, task) for task in tasks]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                for future in futures:
                    future.cancel()

        yield run


# A terminal sends Ctrl-C to the workers too: ending them is up to the process that began them. What Dask logs of
# it is noise: a fault of ours comes back with its traceback, and dead workers are an error here.
_WORKER = """import logging, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
logging.getLogger("distributed").setLevel(logging.CRITICAL)
"""


def _quiet() -> None:
    """Once Dask is there: importing it sets levels of its own."""
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _processes(workers: int, deaths: int) -> Iterator[Map]:
    import dask
    from distributed import Client, LocalCluster

    threads = max(1, (os.cpu_count() or 1) // workers)
    environment = {
        # The workers share the cores instead of each starting as many threads as there are.
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    _quiet()
    settings = {
        "distributed.nanny.pre-spawn-environ": environment,
        "distributed.worker.preload": [_WORKER],
        "distributed.scheduler.allowed-failures": deaths,
        # A worker holds the task that it is at, and none that would be blamed with it.
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with dask.config.set(settings):
        with LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
        ) as cluster:
            with Client(cluster) as client:
                yield lambda function, tasks: _dask_map(client, function, tasks)


@contextmanager
def _address(address: str) -> Iterator[Map]:
    from distributed import Client

    _quiet()
    try:
        client = Client(address, timeout="15s")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--scheduler {address}: no Dask scheduler answers there ({reason})") from None
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise UserError(f"--scheduler {address}: it has no workers; start some with `dask worker {address}`")
        yield lambda function, tasks: _dask_map(client, function, tasks)


def _answer(function: Callable, task: Any) -> Any:
    """An error for the user is an answer: one that is raised, a worker prints with its traceback."""
    try:
        return function(task)
    except UserError as error:
        return error


def _dask_map(client: Any, function: Callable, tasks: Iterable[Any]) -> Iterator[Any]:
    from distributed import CancelledError, KilledWorker, as_completed

    futures = client.map(partial(_answer, function), list(tasks), pure=False)
    try:
        for future in as_completed(futures):
            found = future.result()
            if isinstance(found, UserError):
                raise found
            yield found
            future.release()
    except KilledWorker:
        raise UserError(
            "the workers died again and again over one shard, most likely for want of memory: "
            "run the same command again with fewer --workers; what is finished is kept"
        ) from None
    except CancelledError:
        raise UserError(
            "the Dask scheduler went away: start it and run the same command again; what is finished is kept"
        ) from None
    finally:
        client.cancel(futures, force=True)


EXECUTORS: dict[str, Callable[[int, int], AbstractContextManager[Map]]] = {
    "sync": _sync,
    "threads": _threads,
    "processes": _processes,
}


def executor(scheduler: str, workers: int | None = None, deaths: int = DEATHS) -> AbstractContextManager[Map]:
    """The executor of that name, or the Dask cluster at that ``tcp://`` address.

    Args:
        deaths: workers that a task may cost before it is given up; a cluster at an address has a number of its own.

    Raises:
        UserError: no such executor, or no cluster there.
    """
    if "://" in scheduler:
        return _address(scheduler)
    if scheduler not in EXECUTORS:
        raise UserError(
            f"--scheduler {scheduler}: choose {', '.join(EXECUTORS)}, or the address of a Dask scheduler, tcp://HOST:PORT"
        )
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: give at least 1")
    return EXECUTORS[scheduler](workers or os.cpu_count() or 1, deaths)
