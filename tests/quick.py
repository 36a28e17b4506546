"""Parameters of which the fast tests try a few, and the slow ones the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first(values: Iterable[Any], *quick: Any) -> list[Any]:
    """All values for ``pytest.mark.parametrize``, those that are not among ``quick`` marked slow.

    A value of several parameters is a tuple; without ``quick``, the first value is the quick one.
    """
    values = list(values)
    quick = quick or tuple(values[:1])
    assert all(q in values for q in quick), "what is to be quick is there"
    several = [v if isinstance(v, tuple) else (v,) for v in values]
    return [
        pytest.param(*v, marks=() if o in quick else pytest.mark.slow) for o, v in zip(values, several, strict=True)
    ]
