"""CKA without bias, and neighbours: slow twins, and what must hold."""

from itertools import permutations

import numpy as np
import pytest

from activation_atlas.stages.compared.similarity import alike, cka, hsic, neighbours


def slow_hsic(k, el):
    """The average over all distinct i, j, q, r of K_ij (L_ij + L_qr - 2 L_iq), which HSIC_1 is (Song et al. 2012)."""
    total = [k[i, j] * (el[i, j] + el[q, r] - 2 * el[i, q]) for i, j, q, r in permutations(range(len(k)), 4)]
    return float(np.mean(total))


def test_hsic_is_the_average_over_quadruples():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(7, 3)), rng.normal(size=(7, 5))
    k, el = one @ one.T, other @ other.T
    assert hsic(k, el) == pytest.approx(slow_hsic(k, el), abs=1e-10)
    changed = k + np.diag(rng.normal(size=7))
    assert hsic(changed, el) == pytest.approx(hsic(k, el))  # diagonals are not read


def test_cka_of_noise_is_nothing_where_the_biased_one_is_high():
    rng = np.random.default_rng(1)
    found = [cka(rng.normal(size=(50, 400)), rng.normal(size=(50, 400))) for _ in range(40)]
    assert abs(np.mean(found)) < 0.02
    one, other = rng.normal(size=(2, 50, 400))
    centred = [v - v.mean(0) for v in (one, other)]
    grams = [v @ v.T for v in centred]
    biased = (grams[0] * grams[1]).sum() / np.linalg.norm(grams[0]) / np.linalg.norm(grams[1])
    assert biased > 0.8


def test_cka_heeds_neither_rotation_nor_scale():
    rng = np.random.default_rng(2)
    one = rng.normal(size=(60, 8)) * np.arange(1, 9)
    turned = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    assert cka(one, 3 * one @ turned + 5) == pytest.approx(1)
    assert np.isnan(cka(one, np.ones((60, 4))))


def test_neighbours_are_those_of_all_pairs():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(300, 5)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    for k in (0, 17, 299):
        others = [j for j in np.argsort(-cosine[k]) if j != k][:10]
        assert set(neighbours(vectors, 10)[k]) == set(others)


def test_spaces_alike_and_not():
    rng = np.random.default_rng(4)
    one = rng.normal(size=(200, 6))
    same, apart = alike(one, 2 * one, "x"), alike(one, rng.normal(size=(200, 6)), "x")
    assert same.cka == pytest.approx(1) and same.neighbours == 1
    assert apart.cka_low < 0 < apart.cka_high and apart.neighbours < 2.5 * apart.chance
    assert apart.chance == pytest.approx(10 / 199) and alike(one[:30], one[:30], "x") is None
