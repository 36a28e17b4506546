"""Which images are a case of their own, and which half each is of."""

from __future__ import annotations

import hashlib

import numpy as np

from activation_atlas.stages.halves import copies, held_out, priority


def _hashes(*contents: int) -> list[str]:
    return [hashlib.sha256(str(own).encode()).hexdigest() for own in contents]


def test_of_copies_the_first_counts_whatever_part_they_are_in():
    found = copies([_hashes(1, 2, 1), [], _hashes(3, 2, 4)])
    assert [part.tolist() for part in found] == [[False, False, True], [], [False, True, False]]
    assert copies([]) == []


def test_halves_go_by_the_file_and_the_seed():
    files = _hashes(*range(2000))
    held = held_out(files, 0)
    assert abs(held.mean() - 0.5) < 0.04 and held_out(files[::-1], 0)[::-1].tolist() == held.tolist()
    assert abs((held == held_out(files, 1)).mean() - 0.5) < 0.04
    draws = priority([own[:16] for own in files], 0, 5)
    assert len(np.unique(draws)) == 2000 and abs(np.corrcoef(held, draws.astype(float))[0, 1]) < 0.07
