"""Which images each part holds."""

import itertools
import random

from activation_atlas.stages.sources.assignment import assign


def named(parts, listed):
    return [[listed[row] for row in rows] for rows in parts]


def test_at_first_parts_are_stretches_of_the_listing():
    assert assign([], list("abcdefg"), 3) == [[0, 1, 2], [3, 4, 5], [6]]
    assert assign([], [], 3) == []


def test_by_hand():
    """b is gone, x and y are new and listed first: x takes its place, y the free one of the last part."""
    listed = list("xyacdefg")
    assert named(assign([["a", "b", "c"], ["d", "e", "f"], ["g"]], listed, 3), listed) == [
        ["x", "a", "c"],
        ["d", "e", "f"],
        ["y", "g"],
    ]


def test_an_empty_part_keeps_the_numbers_of_those_behind_it():
    listed = list("de")
    assert named(assign([["a"], ["d", "e"], ["f"]], listed, 2), listed) == [[], ["d", "e"]]


def test_smaller_parts_are_asked_for():
    assert assign([["a", "b", "c"]], list("abc"), 2) == [[0, 1], [2]]


def test_grown_at_random_and_killed_at_any_write():
    """Each image once, none moved, no part too large; and whichever parts were written, it ends the same."""
    rng = random.Random(0)
    names = [f"{k:02d}" for k in range(40)]
    parts: list[list[str]] = []
    for _ in range(60):
        listed = sorted(rng.sample(names, rng.randint(0, 30)))
        made = named(assign(parts, listed, 4), listed)
        assert sorted(itertools.chain(*made)) == listed and all(len(part) <= 4 for part in made)
        free = [len(part) < 4 for part in made]
        kept = set(itertools.chain(*parts)) & set(listed)
        if set(listed) - kept and True in free[:-1]:  # free places are left only where nothing new is
            assert not [own for part in made[len(parts) :] for own in part]
        for before, after in zip(parts, made, strict=False):
            assert set(before) & set(listed) <= set(after)
        written = [rng.random() < 0.5 for _ in made]
        half = [made[k] if k < len(made) and written[k] else part for k, part in enumerate(parts)]
        for k in range(len(parts), len(made)):
            if not written[k]:
                break
            half.append(made[k])
        assert named(assign(half, listed, 4), listed) == made
        parts = made
