"""Scenes in the air and beyond it."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.demo import manmade, nature
from activation_atlas.stages.demo.backdrops import an_hour, conifers, hills, mirror, sky, stars
from activation_atlas.stages.demo.canvas import Canvas, blend, colour, ramp


def balloon(c: Canvas) -> None:
    """Hot-air balloons over hills."""
    rng = c.rng
    hour = an_hour(c, day=4, dawn=3, golden=3, dusk=1.2)
    horizon = rng.uniform(0.74, 0.92)
    sky(c, hour, horizon, disc=0.3)
    far = blend(colour(0.30, 0.38, 0.48) * hour.light, hour.low, 0.35)
    hills(c, horizon - 0.13, 0.15, far, 2.5, 0.35)
    if rng.random() < 0.7:
        hills(c, horizon - 0.04, 0.1, colour(0.24, 0.38, 0.17) * hour.light, 2, 0.3, 0.4)
        if rng.random() < 0.5:
            conifers(c, horizon + 0.05, 0.07, colour(0.10, 0.22, 0.13) * hour.light, int(rng.integers(4, 14)))
    else:
        mirror(c, horizon, hour.middle * 0.8)
    for _ in range(int(rng.choice([0, 0, 1, 2, 3]))):
        manmade.balloon(c, hour, rng.uniform(0.08, 0.92), rng.uniform(0.1, 0.5), rng.uniform(0.045, 0.1))
    r = rng.uniform(0.16, 0.30)
    manmade.balloon(c, hour, rng.uniform(0.28, 0.72), rng.uniform(r + 0.03, 0.46), r)


def owl(c: Canvas) -> None:
    """An owl on a branch."""
    rng = c.rng
    hour = an_hour(c, night=5, dusk=3, grey=1, dawn=1, day=1)
    sky(c, hour, 1.0, clouds=rng.uniform(-0.4, 0.3), disc=0.8 if hour.name == "night" else 0.2)
    green = colour(0.08, 0.17, 0.11) * (hour.light + 0.1)
    kind = rng.random()
    if kind < 0.5:
        conifers(c, 1.05, rng.uniform(0.4, 0.6), blend(green, hour.low * 0.6, 0.3), int(rng.integers(5, 11)))
    elif kind < 0.8:
        leaves = ramp(c.noise(12, 12, 4, 0.65), 0.5, 0.66) * ramp(np.abs(c.x - 0.5), 0.2, 0.5)
        c.fill(leaves, green * (0.6 + 1.7 * c.noise(30, 30, 2)[..., None]))
    perch = rng.uniform(0.76, 0.88)
    bark = colour(0.30, 0.21, 0.15) * (hour.light * 0.7 + 0.2)
    tilt = rng.uniform(-0.06, 0.06)
    with c.pen() as pen:
        pen.line([(-0.05, perch + 0.03 - tilt), (0.5, perch + 0.03), (1.05, perch + 0.03 + tilt)], 0.055, bark)
        pen.line([(-0.05, perch + 0.014 - tilt), (0.5, perch + 0.014), (1.05, perch + 0.014 + tilt)], 0.014, bark * 1.5)
        for _ in range(int(rng.integers(1, 5))):
            x, up = rng.random(), rng.choice([-1, 1])
            tip = (x + rng.uniform(-0.14, 0.14), perch + up * rng.uniform(0.08, 0.2))
            pen.line([(x, perch + 0.03), tip], 0.018, bark)
            for _ in range(5):
                pen.ellipse(
                    tip[0] + rng.normal(0, 0.03),
                    tip[1] + rng.normal(0, 0.025),
                    0.022,
                    0.013,
                    green * rng.uniform(1.2, 2.4),
                )
    nature.owl(c, hour, rng.uniform(0.32, 0.68), perch, rng.uniform(0.5, 0.72))


def planet(c: Canvas) -> None:
    """A ringed planet among stars and nebulae."""
    rng = c.rng
    c.rgb[:] = colour(0.012, 0.012, 0.035)
    for tint in ((0.35, 0.10, 0.45), (0.05, 0.25, 0.45), (0.45, 0.15, 0.15)):
        if rng.random() < 0.7:
            n = c.noise(rng.uniform(1.5, 3), octaves=6, gain=0.6)
            c.light(ramp(n, 0.5, 0.95) * rng.uniform(0.4, 1.0), colour(*tint))
    stars(c, int(rng.uniform(60, 190)))
    if rng.random() < 0.4:
        c.light(c.glow(rng.random(), rng.random(), 0.03), colour(1, 0.95, 0.85))
    for _ in range(int(rng.integers(0, 3))):
        x, y, r = rng.random(), rng.random(), rng.uniform(0.02, 0.06)
        c.fill(
            c.disc(x, y, r),
            colour(0.6, 0.58, 0.55)
            * (0.15 + 0.9 * ramp((c.x - x) / r, -0.6, 0.8) * (0.7 + 0.5 * c.noise(20)))[..., None],
        )
    nature.planet(c, rng.uniform(0.34, 0.66), rng.uniform(0.34, 0.66), rng.uniform(0.15, 0.27))
