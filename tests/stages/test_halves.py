"""Halves and draws that belong to each image, and which images are a case of their own."""

from __future__ import annotations

import hashlib

import numpy as np

from activation_atlas.stages.halves import copies, held_out, priority


def test_a_file_that_repeats_is_on_one_side_whatever_it_is_called_and_who_else_is_there():
    files = [hashlib.sha256(f"{k // 3}".encode()).hexdigest() for k in range(3000)]  # each under three names
    held = held_out(files, 0)
    assert (held.reshape(-1, 3) == held[::3, None]).all() and 0.45 < held.mean() < 0.55
    assert (held_out(files[::-1], 0)[::-1] == held).all() and held_out(files[7:8], 0)[0] == held[7]
    assert 0.4 < (held_out(files, 1) != held).mean() < 0.6  # another seed, other halves


def test_a_draw_is_the_images_own_and_fair():
    ids = [hashlib.sha256(f"{k}".encode()).hexdigest()[:16] for k in range(4000)]
    draws = priority(ids, 0, 17)
    assert (priority(ids[::-1], 0, 17)[::-1] == draws).all() and len(set(draws.tolist())) == 4000
    chosen = np.argsort(draws)[:1000]
    assert abs(chosen.mean() - 1999.5) < 4 * 4000 / (12 * 1000) ** 0.5  # of a uniform draw, four standard errors
    assert len(set(chosen) & set(np.argsort(priority(ids, 1, 17))[:1000])) < 330  # 250 by chance


def _hashes(*contents: int) -> list[str]:
    return [hashlib.sha256(str(own).encode()).hexdigest() for own in contents]


def test_of_copies_the_first_counts_whatever_part_they_are_in():
    found = copies([_hashes(1, 2, 1), [], _hashes(3, 2, 4)])
    assert [part.tolist() for part in found] == [[False, False, True], [], [False, True, False]]
    assert copies([]) == []
