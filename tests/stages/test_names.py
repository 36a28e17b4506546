"""What cells may be called: the test behind it, by hand and by slow twins, and how often it errs."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import attribute, grid
from activation_atlas.stages.clusters import Ranked
from activation_atlas.stages.groups import Given
from activation_atlas.stages.names import STAGE, Params, holding
from activation_atlas.stages.names.chance import adjusted, at_least, expected
from activation_atlas.stages.names.counts import Counts, Whole
from activation_atlas.stages.names.holding import Ranks, held
from activation_atlas.stages.tables import from_numpy, layouts, names, to_numpy
from tests.stages.rows import CLASSES, blobs, memory, view, with_features
from tests.stages.test_grid import lay_out

FIREBOAT, STREETCAR, OTTER, CRANE = range(4)


# -- the test ------------------------------------------------------------------------------------


def test_photographs_to_be_expected_by_hand():
    """One photograph of 1 position and two of 3, at a rate of a tenth: .1 + 2 (1 - .9^3)."""
    photographs = np.array([[0, 1, 0, 2], [0, 0, 0, 0]])
    assert np.allclose(expected(photographs, np.array([0.1, 1.0])), [[0.642, 3], [0, 0]])


def test_the_bound_is_the_binomial_and_lies_above_the_exact_chance():
    # 4 of 4 at a fifth each: .2^4; 3 or more: .2^4 + 4 .2^3 .8.
    assert np.allclose(at_least(np.array([4, 3]), np.array([4, 4]), np.array([0.8, 0.8])), [0.0016, 0.0272])
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.random(6) * rng.random()
        chance = np.zeros(7)
        for hits in product([0, 1], repeat=6):
            chance[sum(hits)] += np.prod(np.where(hits, p, 1 - p))
        exact, bound = chance[::-1].cumsum()[::-1], at_least(np.arange(7), np.full(7, 6), np.full(7, p.sum()))
        assert (bound >= exact - 1e-12).all()
        assert (bound[np.arange(7) < p.sum() + 1] == 1).all()


def test_q_values_against_the_slow_twin():
    p = np.random.default_rng(1).random(40) ** 6
    harmonic = sum(1 / k for k in range(1, 401))
    ranked = sorted(p)
    twin = [min(1, *(ranked[k] * 400 * harmonic / (k + 1) for k in range(ranked.index(one), 40)), 1) for one in p]
    assert np.allclose(adjusted(p, 400), twin) and 1 < (np.array(twin) < 0.05).sum() < 40
    assert adjusted(np.zeros(0), 0).shape == (0,)


def test_chance_names_no_map(monkeypatch):
    """Photographs that rank their own favourites high, and lie in few cells, but where has nothing to do with which."""
    monkeypatch.setattr(holding, "borne_out", lambda counts, *rest: (counts.taken, counts.taken == 0))
    monkeypatch.setattr(holding, "ODDS", 0.0)  # the test alone
    maps, false, cells, classes, photographs = 60, 0, 25, 30, 120
    for seed in range(maps):
        rng = np.random.default_rng(seed)
        favourite = rng.dirichlet(np.full(classes, 0.05), photographs)
        home = rng.integers(cells, size=(photographs, 3))
        for planted in (False, True):
            home[:40, 0] = home[:40, 0] * (not planted)
            cell = home[np.repeat(np.arange(photographs), 10), rng.integers(3, size=10 * photographs)]
            image = np.repeat(np.arange(photographs), 10)
            best = (favourite.cumsum(1)[image, :-1] < rng.random((len(image), 1))).sum(1)
            if planted:  # what is right must still be found
                best[(cell == 0) & (rng.random(len(cell)) < 0.8)] = 0
            pairs, place = np.unique(cell * 1000 + image, return_inverse=True)
            high, rows = np.zeros((len(pairs), classes)), np.bincount(place)
            np.add.at(high, (place, best), 1)
            ranked = Ranked(cells, classes)
            ranked.add(pairs // 1000, rows, high)
            count, images = np.bincount(cell, minlength=cells), np.bincount(pairs // 1000, minlength=cells)
            ranks = Ranks(count, images, ranked.mean(count), ranked.error(count, images), ranked.images)
            of = np.zeros((cells, rows.max() + 1), np.int64)
            np.add.at(of, (pairs // 1000, rows), 1)
            none = np.zeros((cells, classes))
            counts = Counts(of, Ranked(cells, 0), none, none, none)
            whole = Whole(np.zeros(classes), np.zeros(classes))
            found = held(ranks, counts, whole, np.arange(classes), np.zeros((0, classes), bool))
            excess = ranks.share - ranks.rate
            for k, thing in zip(found.cell, found.thing, strict=True):
                assert thing in np.argsort(-excess[k], kind="stable")[:5], "a panel lists what its cell is called"
            if planted:
                assert found.thing[found.cell == 0].tolist()[:1] == [0]
            else:
                false += len(found.cell) > 0
    assert false <= 0.05 * maps


# -- a small map ---------------------------------------------------------------------------------


def small(votes, pred, groups=None, logits=None, attributed=None, listed=None, side=2, **options):
    """The names of a map, after grid and attribute.

    Args:
        votes: one text for each photograph, with a group of letters for each cell: the classes (f, s, o, c) that its
            positions there argue for most.
        pred: what each photograph is taken for, as letters.
    """
    width = max(len(text.replace(" ", "")) for text in votes)
    values, places = [], []
    for text in votes:
        own = [(cell, letter) for cell, letters in enumerate(text.split(" ")) for letter in letters]
        assert len(own) == width, "photographs of as many positions each"
        values += [np.eye(4)["fsoc".index(letter)] for _, letter in own]
        places += [((cell % side + 0.5) / side, (cell // side + 0.5) / side) for cell, _ in own]
    values = np.array(values)
    if listed:
        known = np.argsort(-values, axis=1, kind="stable")[:, :listed]
        inputs = memory(
            blobs(len(values)), np.take_along_axis(values, known, 1), positions=width, top_classes=known,
            pred=["fsoc".index(p) for p in pred], shard_images=3,
        )  # fmt: skip
    else:
        if attributed:
            values = values[:, attributed]
        inputs = memory(
            blobs(len(values)), values, attributed, positions=width, pred=["fsoc".index(p) for p in pred],
            shard_images=3,
        )  # fmt: skip
    logits = np.eye(4)[["fsoc".index(p) for p in (logits or pred)]].astype(np.float32)
    start, at, parts = 0, 0, []
    for k, said in enumerate(inputs.tables["predictions"]):
        own = from_numpy(logits[start : start + len(said)])
        inputs.tables["predictions"][k] = said.set_column(said.column_names.index("logits"), "logits", own)
        start += len(said)
        keys = inputs.tables["activations/deep"][k].select(["image_id", "row", "col"])
        x, y = np.array(places[at : at + len(keys)], np.float32).T
        parts.append(pa.table([*keys.columns, pa.array(x), pa.array(y)], schema=layouts()))
        at += len(keys)
    inputs.tables["layouts/atlas"] = parts
    inputs.run(grid.STAGE, grid.Params(view=view(**options), grids=[1, side]), "atlas")
    inputs.run(attribute.STAGE, attribute.Params(view=view(**options)), "atlas")
    given = Given(listed={name: tuple(classes) for name, classes in groups.items()}) if groups else None
    return inputs, inputs.run(STAGE, Params(view=view(**options), groups=given), "atlas")["names/atlas"]


def rows(table):
    """(cell_x, cell_y) -> names, best first."""
    found = {}
    for r in table.to_pylist():
        own = found.setdefault((r["cell_x"], r["cell_y"]), [])
        assert r["place"] == len(own), "in the order of places"
        own.append(r["name"])
    return found


OTTERS = ["ooo sss", "ooo sfs"] * 5 + [" ssfcsf", " sccsff"] * 20
"""Ten photographs with positions in the upper left cell, which argue for otter; nothing else does."""


def test_a_name_by_hand():
    inputs, table = small(OTTERS, "o" * 10 + "s" * 40)
    (only,) = table.to_pylist()
    assert table.schema == names()
    expected_ = 10 * (1 - (1 - 0.1) ** 3)  # 30 of 300 positions: of ten photographs of three positions each
    tests = 2 * 4 * sum(1 / k for k in range(1, 9))  # two cells, four classes
    assert {k: only[k] for k in ("grid", "cell_x", "cell_y", "place", "kind", "name", "class", "images")} == {
        "grid": 2, "cell_x": 0, "cell_y": 0, "place": 0, "kind": "class", "name": "otter", "class": OTTER, "images": 10,
    }  # fmt: skip
    assert only["expected"] == pytest.approx(expected_) and only["rate"] == pytest.approx(0.1)
    assert only["q_value"] == pytest.approx((expected_ / 10) ** 10 * tests, rel=1e-5)
    assert only["top_share"] == 1 and only["low"] == pytest.approx(11 / 12)  # by Laplace's rule
    assert only["lift"] == pytest.approx(1 / 0.2)  # the photographs hold 60 of 300 positions


def slow_twin(inputs, groups, side):
    """(cell_x, cell_y, name) -> figures of every name, photograph by photograph."""
    from scipy.special import stdtrit

    said = {r["image_id"]: r for r in inputs.table("predictions").to_pylist()}
    places = inputs.table("layouts/atlas").to_pylist()
    best = to_numpy(inputs.table("activations/deep")["attribution"]).argmax(1)
    at = [(int(r["x"] * side), int(r["y"] * side)) for r in places]
    photograph = [r["image_id"] for r in places]
    things = {name: [k] for k, name in enumerate(CLASSES)} | groups
    wanted, tests = {}, 0
    for name, classes in things.items():
        high = np.array([k in classes for k in best])
        taken = np.array([said[image]["pred"] in classes for image in photograph])
        nearly = np.array([np.argmax(said[image]["logits"]) in classes for image in photograph])
        few = [len({i for i, yes in zip(photograph, of, strict=True) if yes}) < 3 for of in (taken, nearly)]
        rate = high.mean()
        for cell in sorted(set(at)):
            own = np.array([place == cell for place in at])
            of = {i: high[own & (np.array(photograph) == i)] for i in set(np.array(photograph)[own])}
            if len(of) < 3 or not rate:
                continue
            tests += 1
            images, n, share = sum(each.any() for each in of.values()), len(of), high[own].mean()
            expected_ = sum(1 - (1 - rate) ** len(each) for each in of.values())
            p = sum(comb(n, k) * (expected_ / n) ** k * (1 - expected_ / n) ** (n - k) for k in range(images, n + 1))
            off = sum((each - share).sum() ** 2 for each in of.values())
            low = share - stdtrit(n - 1, 0.975) * np.sqrt(n / (n - 1) * off) / own.sum()
            lift = None if few[0] else taken[own].mean() / taken.mean()
            fine = lift >= 1 if lift is not None else not few[1] and nearly[own].mean() >= 1.5 * nearly.mean()
            for group in groups.values() if lift is None else ():
                of_it = np.array([said[image]["pred"] in group for image in photograph])
                fine &= classes[0] not in group or of_it[own].mean() >= of_it.mean()
            low = min(low, (n + 1) / (n + 2))
            fine &= images >= 3 and low > 0 and low / (1 - low) >= 2 * rate / (1 - rate)
            p = p if images >= expected_ + 1 else 1
            wanted[(*cell, name)] = p, bool(fine), [images, expected_, share, low, rate, lift]
    ranked = sorted(p for p, _, _ in wanted.values())
    harmonic, found = sum(1 / k for k in range(1, tests + 1)), {}
    for key, (p, fine, figures) in wanted.items():
        q = min(one * tests * harmonic / (k + 1) for k, one in enumerate(ranked) if one >= p)
        if fine and q < 0.05:
            found[key] = [*figures, q]
    first, above = {}, {key: low - rate for key, (_, _, _, low, rate, _, _) in found.items()}
    for key in found:  # a group stands where its best class would, and before one that is not known
        of = [CLASSES[k] for k in groups.get(key[2], ())]
        score = max(above.get((*key[:2], name), above[key]) for name in (key[2], *of))
        first.setdefault(key[:2], []).append((score, key[2] in groups, key))
    clear = {
        key: lift is not None or low / (1 - low) >= 10 * rate / (1 - rate)
        for key, (_, _, _, low, rate, lift, _) in found.items()
    }
    return {key: v for key, v in found.items() if clear[key] and clear[max(first[key[:2]])[2]]}


def test_names_against_the_slow_twin():
    rng = np.random.default_rng(3)
    likely = "".join(rng.choice(list("fsoc"), 60))
    votes = []
    for letter in likely:  # a position in each cell, and four more in its own, where most argue for it
        draws = [rng.choice(list("fsoc"), 1 + 4 * (own == letter), p=np.where([o == own for o in "fsoc"], 0.7, 0.1))
                 for own in "fsoc"]  # fmt: skip
        votes.append(" ".join("".join(each) for each in draws))
    pred = "".join("o" if letter == "c" else letter for letter in likely)  # of the last class no photographs but nearly
    inputs, table = small(votes, pred, {"animals": ["otter", "crane"]}, likely)
    twin = slow_twin(inputs, {"animals": [OTTER, CRANE]}, 2)
    fine = [r for r in table.to_pylist() if r["grid"] == 2]
    assert {(r["cell_x"], r["cell_y"], r["name"]) for r in fine} == set(twin)
    assert {name for _, _, name in twin} == {*CLASSES, "animals"} - {"crane"}  # not known, and not clear
    for r in fine:
        own = [r[name] for name in ("images", "expected", "top_share", "low", "rate", "lift", "q_value")]
        own, other = ([x or 0 for x in each] for each in (own, twin[r["cell_x"], r["cell_y"], r["name"]]))
        assert own == pytest.approx(other, rel=1e-4)
    cells = {(r["grid"], r["cell_x"], r["cell_y"]): r for r in inputs.table("cells/atlas").to_pylist()}
    for r in table.to_pylist():
        if r["kind"] == "class":  # what a name says is what its cell says
            cell = cells[r["grid"], r["cell_x"], r["cell_y"]]
            assert (r["images"], r["top_share"]) == (cell["top_images"][r["class"]], cell["top_share"][r["class"]])


def test_where_no_photographs_of_the_class_lie_it_names_nothing():
    assert rows(small(OTTERS, "s" * 10 + "o" * 3 + "s" * 37)[1]) == {}, "they lie elsewhere"
    assert rows(small(OTTERS, "s" * 9 + "o" + "s" * 40)[1]) == {}, "hardly any, and not nearly either"
    inputs, table = small(OTTERS, "s" * 50, logits="o" * 10 + "s" * 40)
    assert rows(table) == {(0, 0): ["otter"]} and table["lift"].to_pylist() == [None], "it is their likeliest but one"


def test_two_photographs_name_nothing_and_agreeing_ones_must_be_many():
    assert rows(small(["ooooooooo sss"] * 2 + [" ssfcsfssfccc"] * 40, "oos" + "s" * 39)[1]) == {}
    # Ten photographs, one of which alone argues for otter, with many positions.
    few = ["oooooo sss"] + ["s ssssssff"] * 9 + [" sssfffccc"] * 40
    assert rows(small(few, "o" * 10 + "s" * 40)[1]).get((0, 0), []) in ([], ["streetcar"])


def test_a_group_stands_before_its_classes_unless_one_stands_out():
    animals = {"animals": ["otter", "crane"]}
    mixed = ["oco sss", "coc sfs"] * 8 + [" ssfssf", " sfssff"] * 40
    _, table = small(mixed, "oc" * 8 + "s" * 80, animals)
    assert rows(table)[0, 0][0] == "otter", "half of what its group wins"
    _, table = small(mixed, "oocc" + "s" * 92, animals)  # of each class two photographs: which is not known
    (r,) = [r for r in table.to_pylist() if (r["cell_x"], r["cell_y"]) == (0, 0)]
    assert (r["kind"], r["name"], r["class"], r["images"]) == ("group", "animals", None, 16)
    assert r["rate"] == pytest.approx(48 / 576) and r["lift"] == pytest.approx((12 / 48) / (24 / 576))


def test_classes_of_few_photographs_must_lie_where_their_group_does():
    # Otter is nearly what the photographs are taken for; but those of its group lie elsewhere.
    votes, logits = OTTERS, "o" * 10 + "s" * 40
    assert rows(small(votes, "s" * 50, logits=logits)[1]) == {(0, 0): ["otter"]}
    pred = "s" * 10 + "cccc" + "s" * 36
    assert rows(small(votes, pred, {"animals": ["otter", "crane"]}, logits)[1]) == {}


@pytest.mark.parametrize("kind", ["few classes", "one class", "listed"])
def test_other_ways_to_attribute(kind):
    options = {"few classes": {"attributed": [CRANE, OTTER]}, "one class": {"attributed": [OTTER]}}
    options["listed"] = {"listed": 2}
    groups = {"animals": ["otter", "crane"]}
    _, table = small(OTTERS, "o" * 10 + "s" * 40, groups, **options[kind])
    assert rows(table) == ({} if kind == "one class" else {(0, 0): ["otter"]})  # which all rank high where it is alone


def test_nothing_to_name():
    whole = with_features(memory(blobs(100), np.ones((100, 4))), blobs(20))
    bare = memory(blobs(100))
    for inputs, options in ((whole, {"images": True}), (bare, {})):
        lay_out(inputs, "features/deep" if options else "activations/deep")
        inputs.run(grid.STAGE, grid.Params(view=view(**options), grids=[2]), "atlas")
        inputs.run(attribute.STAGE, attribute.Params(view=view(**options)), "atlas")
        found = inputs.run(STAGE, Params(view=view(**options)), "atlas")["names/atlas"]
        assert found.schema == names() and not len(found)
    assert rows(small(["o"], "o")[1]) == {}, "one position"
    assert rows(small(["ooo ccc"] * 2, "oc")[1]) == {}, "two photographs"


def test_the_same_bytes_on_a_rerun():
    first, second = (small(OTTERS, "o" * 10 + "s" * 40, {"animals": ["otter"]})[0] for _ in range(2))
    assert first.digest("names/atlas") == second.digest("names/atlas")
