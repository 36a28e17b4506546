"""What is kept within the process is bounded, made once, and gone when it is asked to go."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from activation_atlas.stages.caches import Cache, cached, clear_all, forget


def never():
    raise AssertionError("made again")


def test_the_least_recently_used_goes_first():
    left = []
    cache = Cache(2, leaving=left.append)
    assert [cache.get(key, lambda key=key: key.upper()) for key in "aba"] == ["A", "B", "A"]
    cache.get("c", lambda: "C")
    assert left == ["B"] and len(cache) == 2
    assert cache.get("a", never) == "A" and cache.get("b", lambda: "new") == "new"


def test_by_weight_and_one_is_always_kept():
    cache = Cache(10, weigh=len)
    for key, size in (("a", 4), ("b", 4), ("c", 3)):
        cache.get(key, lambda size=size: "x" * size)
    assert len(cache) == 2 and cache.get("b", never) == "xxxx"
    cache.get("large", lambda: "x" * 50)
    assert len(cache) == 1 and len(cache.get("large", never)) == 50
    cache.get("a", lambda: "xx")
    assert len(cache) == 1


def test_many_threads_make_a_value_once_and_wait_for_no_other():
    cache, made, going, wait = Cache(4), [], threading.Event(), threading.Event()

    def slow():
        made.append(None)
        going.set()
        assert wait.wait(10)
        return object()

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(cache.get, "slow", slow) for _ in range(7)]
        assert going.wait(10)
        assert cache.get("quick", lambda: 1) == 1
        wait.set()
        assert len({id(one.result()) for one in asked}) == 1 and len(made) == 1


def test_what_failed_is_made_by_the_next_and_what_is_stale_anew():
    cache, tries = Cache(1), iter([OSError("gone"), 5])

    def make():
        if isinstance(value := next(tries), Exception):
            raise value
        return value

    with pytest.raises(OSError, match="gone"):
        cache.get("a", make)
    assert cache.get("a", make) == 5 == cache.get("a", never, lambda value: value == 5)
    assert cache.get("a", lambda: 6, lambda value: value > 5) == 6 == cache.get("a", never)


def test_what_was_made_of_a_thing_goes_with_it():
    models, sizes = Cache(1, leaving=forget), []

    @cached(8)
    def compiled(model, size):
        sizes.append(size)
        return size

    first = models.get("first", object)
    for size in (1, 2, 1):
        compiled(first, size)
    second = models.get("second", object)
    compiled(second, 3), compiled(first, 1), compiled(second, 3)
    assert sizes == [1, 2, 3, 1]


def test_all_are_emptied_at_once():
    cache, calls = Cache(3), []
    kept = cached(3)(calls.append)
    for _ in range(2):
        cache.get("a", lambda: 1), kept(7)
    assert calls == [7]
    clear_all()
    assert len(cache) == 0
    kept(7)
    assert calls == [7, 7]
