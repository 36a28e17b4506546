"""Do the intervals of validity hold the truth as often as they say? Drawn atlases of which it is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.validity.bootstrap import fisher, log, unlog
from activation_atlas.stages.validity.judging import Association
from activation_atlas.stages.validity.measures import centred, lift, moments, warmest
from activation_atlas.stages.validity.telling import Told

MIN_COUNT, MANY = 5, 10


@dataclass(frozen=True)
class World:
    """A kind of atlas: what of a class's heat follows its photographs, and how much noise lies over it.

    Attributes:
        classes, cells, photographs, rows: how many; rows of each photograph.
        follows: what a cell's heat for a class rises with one standard deviation of the class's share of the cell.
        own: what a row of a class's own photograph argues for it more than another's there.
        gathered: how evenly a class's photographs lie: the smaller, the fewer cells hold them (Dirichlet).
        alike: how alike one photograph's rows are to its class's: the smaller, the more it keeps to few cells.
        each, noise: standard deviation of what all rows of a photograph share, and of each row.
        heats: 1, or more where what is told of a class is the median over so many heats, as of a group of classes.
    """

    classes: int = 6
    cells: int = 60
    photographs: int = 120
    rows: int = 20
    follows: float = 0.5
    own: float = 1.0
    gathered: float = 0.5
    alike: float = 20.0
    each: float = 1.0
    noise: float = 2.0
    heats: int = 1


WORLDS = {
    "many photographs": World(photographs=600, rows=10),
    "few photographs": World(),
    "hardly any validity": World(follows=0.1, own=0.5),
    "photographs in few cells": World(cells=100, rows=50, alike=10, each=2.0),
    "high validity, much noise": World(photographs=200, rows=30, follows=2.0),
    "groups of eight classes": World(photographs=150, heats=8, each=2.0),
    "a fine grid": World(cells=200, photographs=200, rows=40, gathered=0.3, alike=10),
}


@dataclass(frozen=True)
class Drawn:
    """One atlas: of every photograph its class (G,), its rows in each cell (G, C) and the sums of their heats
    (G, C, K x heats); and the truth: rows (C,), shares (K, C) and heats (K x heats, C) of infinitely many."""

    own: np.ndarray
    rows: np.ndarray
    sums: np.ndarray
    all_rows: np.ndarray
    shares: np.ndarray
    heat: np.ndarray


def draw(world: World, rng: np.random.Generator) -> Drawn:
    """An atlas, and what it would be of infinitely many photographs."""
    places = rng.dirichlet(np.full(world.cells, world.gathered), world.classes)
    rates = rng.dirichlet(np.full(world.classes, 5.0))
    all_rows = rates @ places
    shares = rates[:, None] * places / all_rows
    standing = (shares - shares.mean(1, keepdims=True)) / shares.std(1, keepdims=True)
    whose = np.repeat(np.arange(world.classes), world.heats)
    base = world.follows * standing[whose] + rng.normal(size=(len(whose), world.cells))
    own = rng.choice(world.classes, world.photographs, p=rates)
    lies = np.stack([rng.dirichlet(world.alike * places[k] + 1e-9) for k in own])
    rows = np.stack([rng.multinomial(world.rows, each / each.sum()) for each in lies]).astype(np.float32)
    alike = rng.normal(size=(world.photographs, 1, world.classes))[..., whose]
    apart = rng.normal(size=(world.photographs, 1, len(whose)))
    each = world.each * (alike if world.heats == 1 else (alike + apart) / np.sqrt(2))
    more = world.own * (whose == own[:, None])[:, None]
    noise = world.noise * rng.normal(size=(*rows.shape, len(whose))) * np.sqrt(rows)[..., None]
    sums = (rows[..., None] * (base.T + each + more) + noise).astype(np.float32)
    return Drawn(own, rows, sums, all_rows, shares, base + world.own * shares[whose])


def judge(drawn: Drawn, rng: np.random.Generator, replicates: int) -> dict[str, tuple[np.ndarray, ...]]:
    """Of every class with enough photographs, and of their median: (truth, sample, low, high) of both figures."""
    photographs, cells = drawn.rows.shape
    times = rng.multinomial(photographs, np.full(photographs, 1 / photographs), replicates)
    weights = np.concatenate([np.ones((1, photographs)), times]).astype(np.float32)
    fixed = drawn.rows.sum(0) >= MIN_COUNT
    rows = (weights @ drawn.rows) * fixed
    held, total = rows > 0, np.maximum(rows, 1)
    number = np.bincount(drawn.own, minlength=len(drawn.shares))
    kept = np.flatnonzero(number >= MANY)
    heats = len(drawn.heat) // len(drawn.shares)
    figures, true, whole = [], [], (drawn.all_rows * fixed)[None]
    for k in kept:
        own = (weights * (drawn.own == k)) @ drawn.rows * fixed
        share, found = centred(own / total, held), []
        for j in range(k * heats, (k + 1) * heats):
            heat = np.where(held, (weights @ drawn.sums[..., j]) / total, 0)
            of = moments(centred(heat, held), share, held.sum(1)), lift(warmest(heat, rows), own, rows)
            lies = np.corrcoef(drawn.heat[j][fixed], drawn.shares[k][fixed])[0, 1]
            found.append((*of, lies, lift(warmest(drawn.heat[j][None], whole), whole * drawn.shares[k], whole)[0]))
        of, lifted, *truth = zip(*found, strict=True)
        figures.append(Association(np.stack(of, 1), np.stack(lifted, 1)))
        true.append(np.median(truth, 1))
    told, found = Told.of(figures), {}
    for name, draws, truth, scale in (
        ("correlation", told.correlation, np.array(true)[:, 0], (fisher, np.tanh)),
        ("lift", told.lift, np.array(true)[:, 1], (log, unlog)),
    ):
        found[name] = (truth, draws.value, *draws.interval(*scale, number[kept]))
        both = draws.median(np.arange(len(kept)))
        ends = both.interval(*scale, np.array(number[kept].sum()))
        found[f"median {name}"] = tuple(np.atleast_1d(x) for x in (np.median(truth), both.value, *ends))
    return found


def cover(world: World, atlases: int, seed: int = 0, replicates: int = 200) -> dict[str, dict[str, float]]:
    """How often the 95 % intervals hold the truth over drawn atlases, how wide they are, and how far the sample's own
    figure lies from it on average."""
    found: dict[str, list[list[np.ndarray]]] = defaultdict(list)
    for number in range(atlases):
        rng = np.random.default_rng([seed, number])
        for name, values in judge(draw(world, rng), rng, replicates).items():
            found[name].append(values)
    said = {}
    for name, each in found.items():
        truth, sample, low, high = (np.concatenate(x) for x in zip(*each, strict=True))
        said[name] = {
            "covers": float(np.mean((low <= truth) & (truth <= high))),
            "width": float(np.mean(high - low)),
            "off": float(np.mean(sample - truth)),
            "intervals": len(truth),
        }
    return said


def run(atlases: int = 200) -> dict[str, dict[str, dict[str, float]]]:
    """All kinds of atlases; prints a line for each figure."""
    figures = {}
    print(f"intervals over {atlases} drawn atlases of each kind: share that holds the truth, width, sample less truth")
    for name, world in WORLDS.items():
        figures[name] = cover(world, atlases)
        for what, said in figures[name].items():
            covers, width, off = (said[key] for key in ("covers", "width", "off"))
            print(f"  {name:28s}{what:20s}{covers:6.3f} {width:6.2f} {off:+6.2f}", flush=True)
    return figures
