"""Scenes by, on and under the water."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.demo import manmade, nature
from activation_atlas.stages.demo.backdrops import Hour, an_hour, ground_plane, mirror, sea, sky
from activation_atlas.stages.demo.canvas import WHITE, Canvas, blend, colour, pick, ramp


def _far_sail(c: Canvas, hour: Hour, horizon: float) -> None:
    if c.rng.random() < 0.35:
        x, h = c.rng.uniform(0.08, 0.92), c.rng.uniform(0.05, 0.09)
        with c.pen() as pen:
            pen.polygon([(x, horizon - h), (x + h * 0.4, horizon), (x, horizon)], WHITE * hour.light)
            pen.polygon(
                [(x - h * 0.05, horizon - h * 0.9), (x - h * 0.35, horizon), (x - h * 0.05, horizon)],
                WHITE * hour.light * 0.85,
            )


def _coast(c: Canvas, hour: Hour, horizon: float) -> None:
    if c.rng.random() < 0.5:
        rgb = blend(colour(0.25, 0.33, 0.38) * hour.light, hour.low, 0.45)
        line = horizon - 0.09 * np.clip(c.ridge(2.2, 4) - 0.42, 0, 1) * 2
        c.fill(np.clip((c.y - line[None]) * c.size, 0, 1) * (c.y < horizon), rgb)


def lighthouse(c: Canvas) -> None:
    """A tower on a rock by the sea."""
    rng = c.rng
    hour = an_hour(c, dusk=4, night=2, golden=2, day=2, dawn=1, grey=1)
    horizon = rng.uniform(0.6, 0.75)
    sun = sky(c, hour, horizon)
    _coast(c, hour, horizon)
    sea(c, hour, horizon, sun)
    _far_sail(c, hour, horizon)
    x, side = rng.uniform(0.22, 0.78), 1 if rng.random() < 0.5 else -1
    foot = rng.uniform(0.70, 0.82)
    slope = foot + 0.02 + np.abs(c.x[0] - x) ** 1.6 * rng.uniform(0.5, 1.3) + 0.05 * (c.ridge(7, 4, 0.6) - 0.5)
    slope += np.where((c.x[0] - x) * side > 0.2, ((c.x[0] - x) * side - 0.2) * 0.8, 0)
    rock = np.clip((c.y - slope[None]) * c.size, 0, 1)
    stone = c.noise(9, 14, 5, 0.65)
    grass = ramp(c.y - slope[None], 0.05, 0.01) * (rng.random() < 0.6)
    rgb = blend(
        colour(0.42, 0.36, 0.31) * (0.35 + 1.1 * stone)[..., None], colour(0.32, 0.45, 0.2), (grass * 0.8)[..., None]
    )
    c.fill(rock, rgb * hour.light)
    c.fill(np.exp(-(((c.y - slope[None]) / 0.012) ** 2)) * ramp(stone, 0.5, 0.8) * 0.35, colour(1, 1, 1) * hour.light)
    if rng.random() < 0.5:
        hx, w = x + side * -rng.uniform(0.12, 0.17), rng.uniform(0.055, 0.08)
        with c.pen() as pen:
            pen.box(hx - w, foot - w * 0.75, hx + w, foot + 0.03, WHITE * hour.light * 0.9)
            pen.polygon(
                [(hx - w * 1.15, foot - w * 0.7), (hx, foot - w * 1.5), (hx + w * 1.15, foot - w * 0.7)],
                colour(0.6, 0.18, 0.12) * hour.light,
            )
            pen.box(
                hx - w * 0.25,
                foot - w * 0.4,
                hx + w * 0.15,
                foot - w * 0.05,
                colour(1, 0.85, 0.4) if hour.dark else colour(0.2, 0.25, 0.3),
            )
    manmade.lighthouse(c, hour, x, foot + 0.03, min(rng.uniform(0.5, 0.78), foot - 0.02), sun[0])


def sailboat(c: Canvas) -> None:
    """One boat under sail, sometimes others behind it."""
    rng = c.rng
    hour = an_hour(c, day=5, golden=2, dawn=2, dusk=1.5, grey=1, night=0.6)
    horizon = rng.uniform(0.42, 0.66)
    sun = sky(c, hour, horizon)
    _coast(c, hour, horizon)
    sea(c, hour, horizon, sun)
    if rng.random() < 0.2:
        x = rng.choice([rng.uniform(0.05, 0.2), rng.uniform(0.8, 0.95)])
        manmade.lighthouse(c, hour, float(x), horizon, rng.uniform(0.12, 0.2), sun[0])
    _far_sail(c, hour, horizon)
    if rng.random() < 0.3:
        manmade.sailboat(c, hour, rng.uniform(0.1, 0.9), horizon + 0.05, rng.uniform(0.2, 0.3))
    water = rng.uniform(horizon + 0.12, 0.86)
    manmade.sailboat(c, hour, rng.uniform(0.32, 0.68), water, min(rng.uniform(0.45, 0.75), water - 0.03))


def city(c: Canvas) -> None:
    """A skyline with lit windows, often over water."""
    rng = c.rng
    hour = an_hour(c, night=6, dusk=4)
    shore = rng.uniform(0.68, 0.8) if rng.random() < 0.55 else 1.02
    sky(c, hour, min(shore, 0.9), disc=0.35)
    c.light(ramp(c.y, shore - 0.65, shore) * 0.22, colour(0.9, 0.6, 0.4))
    base = colour(0.10, 0.11, 0.18) if hour.name == "night" else colour(0.17, 0.13, 0.22)
    with c.pen() as pen:
        for layer, (height, haze, pane) in enumerate(((0.34, 0.5, 0.011), (0.5, 0.25, 0.016), (0.42, 0.0, 0.022))):
            x = -rng.uniform(0, 0.1)
            while x < 1:
                w = rng.uniform(0.08, 0.17) * (0.75 + 0.25 * layer)
                h = height * rng.uniform(0.45, 1.45) * (1.15 if shore > 1 else 0.85)
                wall = blend(base * rng.uniform(0.65, 1.35), hour.low * 0.5, haze)
                if layer < 2 or rng.random() < 0.6:
                    manmade.tower(
                        c, pen, x, x + w, shore - h, shore, wall, rng.uniform(0.25, 0.75) * (0.6 + 0.2 * layer), pane
                    )
                x += w * rng.uniform(0.85, 1.25)
    if shore < 1:
        mirror(c, shore, hour.top * 1.2 + 0.01, 0.6)
        with c.pen() as pen:
            for x in np.arange(rng.uniform(0, 0.06), 1, 0.09):
                pen.ellipse(x, shore, 0.007, 0.007, colour(1, 0.9, 0.6))


def reef(c: Canvas) -> None:
    """Fish over corals in blue water."""
    rng = c.rng
    top = pick(c, [(0.30, 0.78, 0.88), (0.22, 0.65, 0.90), (0.35, 0.82, 0.78)])
    deep = pick(c, [(0.02, 0.14, 0.38), (0.02, 0.22, 0.42), (0.02, 0.25, 0.33)])
    c.rgb[:] = blend(top, deep, ramp(c.y + 0.15 * (c.noise(2) - 0.5), -0.1, 0.95)[..., None])
    for _ in range(int(rng.integers(3, 7))):
        x, w, drift = rng.uniform(-0.1, 1), rng.uniform(0.02, 0.08), rng.uniform(-0.25, 0.25)
        ray = c.soften(c.polygon([(x, -0.02), (x + w, -0.02), (x + w * 2.5 + drift, 0.9), (x + drift, 0.9)]), 0.015)
        c.light(ray * 0.2 * ramp(c.y, 0.85, 0.0), colour(0.7, 1, 1))
    bed = rng.uniform(0.74, 0.9)
    u, v, _ = ground_plane(c, bed - 0.05)
    line = bed + 0.05 * (c.ridge(2.5) - 0.5)
    caustic = ramp(np.abs(c.lattice(u * 9, v * 4, 2, bed - 0.05) - 0.5), 0.07, 0.0)
    c.fill(np.clip((c.y - line[None]) * c.size, 0, 1), colour(0.55, 0.68, 0.60) * (0.65 + 0.55 * caustic)[..., None])
    palette = [
        (0.95, 0.35, 0.42),
        (0.98, 0.55, 0.25),
        (0.75, 0.35, 0.75),
        (0.95, 0.78, 0.35),
        (0.35, 0.75, 0.62),
        (0.9, 0.5, 0.65),
    ]
    for _ in range(int(rng.integers(1, 4))):
        x, r = rng.random(), rng.uniform(0.08, 0.16)
        rgb, turn = pick(c, palette), c.noise(11, 11, 2, 0.4)
        maze = ramp(np.sin(turn * 44), -0.5, 0.5)
        dome = c.disc(x, bed + r * 0.55, r, r * 0.95)
        round_ = 0.55 + 0.6 * c.glow(x - r * 0.3, bed - r * 0.1, r * 1.1)
        c.fill(dome, rgb * (round_ * (0.62 + 0.45 * maze))[..., None])
    with c.pen() as pen:
        for _ in range(int(rng.integers(3, 7))):
            nature.coral(c, rng.random(), bed + rng.uniform(0.04, 0.16), rng.uniform(0.2, 0.42), pick(c, palette), pen)
        for _ in range(int(rng.integers(0, 9))):
            x, y, r = rng.random(), rng.uniform(0.05, bed), rng.uniform(0.005, 0.014)
            pen.ellipse(x, y, r, r, colour(0.8, 0.97, 1), 0.55)
            pen.ellipse(x - r * 0.2, y - r * 0.2, r * 0.5, r * 0.5, colour(1, 1, 1), 0.8)
        for size in sorted(rng.uniform(0.1, 0.38, int(rng.integers(2, 6)))):
            nature.fish(c, rng.uniform(0.15, 0.85), rng.uniform(0.12, bed - 0.08), float(size), pen)
