"""Columns of every type as groups, and what makes none."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages.subgroups.columns import Grouping, Unfit, crossed, gathered


def grouped(values, kind=None, parts=3):
    column = pa.chunked_array([pa.array(values, kind)])
    found = gathered(column.type)
    for rows in np.array_split(np.arange(len(values)), parts):
        found.add(column.take(pa.array(rows, pa.int64())))
    return found.told().grouping("it")


def sizes(grouping):
    return dict(zip(grouping.values, np.bincount(grouping.index).tolist(), strict=True))


def test_texts_and_truth_values_with_missing_ones():
    assert sizes(grouped(["a", " a", "b", None, "", "b"])) == {"a": 2, "b": 2, "(missing)": 2}
    assert sizes(grouped([True, False, None, True])) == {"true": 2, "false": 1, "(missing)": 1}
    assert grouped(["b", "a", "b"], parts=1).of(0).tolist() == [0, 2]


def test_few_numbers_are_as_they_are_and_many_are_cut_at_quantiles():
    assert sizes(grouped([3, 1, None, 3])) == {"1": 1, "3": 2, "(missing)": 1}
    assert sizes(grouped([0.5, float("nan"), float("inf"), 2.0])) == {"0.5": 1, "2": 1, "(missing)": 2}
    many = grouped(list(range(100)))
    assert many.binned and sizes(many) == {
        "0 to 19": 20, "20 to 39": 20, "40 to 59": 20, "60 to 79": 20, "80 to 99": 20
    }  # fmt: skip
    # More than half are 0: fewer bins, and none of them empty.
    assert sizes(grouped([0] * 70 + list(range(1, 31)))) == {"0": 80 - 10, "1 to 10": 10, "11 to 30": 20}
    close = grouped([1 + k / 1e7 for k in range(50)])
    assert len(set(close.values)) == 5 and close.values[0] == "1 to 1.0000009"
    assert sizes(grouped([Decimal("1.5"), Decimal("2.5")])) == {"1.5": 1, "2.5": 1}


def test_dates_and_texts_that_are_dates():
    days = [date(2020, 1, 1) + timedelta(k) for k in range(100)]
    found = grouped(days)
    assert found.binned and found.values[0] == "2020-01-01 to 2020-01-20"
    assert grouped([str(day) for day in days]).values == found.values
    zoned = grouped([f"{day}T12:00:00Z" for day in days[:40]] + [None] * 2)
    assert zoned.values[-1] == "(missing)" and zoned.values[0] == "2020-01-01 to 2020-01-08"
    minutes = grouped([datetime(2020, 1, 1, 8, k) for k in range(60)])
    assert minutes.values[0] == "2020-01-01 08:00 to 2020-01-01 08:11"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([f"id{k}" for k in range(10_000)], "more than 200 values"),
        ([f"id{k % 50}" for k in range(100)], "50 values, of fewer than 10 images each"),
        (["x"] * 5, "the same value everywhere"),
        ([None] * 5, "no values"),
        ([float("nan")] * 5, "no values"),
    ],
)
def test_what_tells_no_groups_apart(values, why):
    with pytest.raises(Unfit, match=why):
        grouped(values, pa.string() if values[0] is None else None)


def test_two_columns_at_once():
    one = Grouping("label", "label", ["cat", "dog"], np.array([0, 0, 1, 3]), np.array([0, 1, 0, 1]))  # several labels
    other = Grouping.of_codes("metadata", "site", ["A", "B"], np.array([1, 1, 0, -1]))
    both, parents = crossed(one, other, 4)
    assert parents.tolist() == [[0, 1], [1, 1]] and [both.of(k).tolist() for k in (0, 1)] == [[0, 1], [0]]


def test_the_same_groups_by_other_names():
    one, other = grouped(["a", "b", "b", "c"]), grouped([2, 9, 9, 1])
    assert one.same(other) and not one.same(grouped([2, 9, 8, 1])) and not one.same(grouped([2, 2, 9, 1]))
