"""Scenes on the ground."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.demo import manmade, nature
from activation_atlas.stages.demo.backdrops import an_hour, conifers, ground_plane, hills, meadow, mirror, sky
from activation_atlas.stages.demo.canvas import Canvas, blend, colour, pick, ramp


def mountains(c: Canvas) -> None:
    """Snow peaks, sometimes over firs or a lake."""
    rng = c.rng
    hour = an_hour(c, day=4, dawn=2, golden=2, dusk=1.5, night=1, grey=1)
    base = rng.uniform(0.66, 0.85)
    sun = sky(c, hour, base, disc=0.25)
    if rng.random() < 0.7:
        hills(c, base - 0.36, 0.3, blend(colour(0.42, 0.48, 0.60) * hour.light, hour.middle, 0.5), 3, 0.55, 0.1)
    for layer in range(int(rng.integers(1, 3))):
        top = rng.uniform(0.08, 0.24) + 0.16 * layer
        peaks = [
            (rng.uniform(-0.05, 1.05), top + rng.uniform(0, 0.2) * (i > 0), rng.uniform(0.75, 1.3))
            for i in range(int(rng.integers(2, 5)))
        ]
        warp = 0.07 * (c.noise(5, 7, 5, 0.6) - 0.5)
        height = np.full(c.x.shape, 9.0, np.float32)
        lit = np.zeros_like(height)
        for px, py, steep in peaks:
            zigzag = c.x + warp * 2.2 - px + 0.05 * np.sin((c.y - py) * rng.uniform(20, 34))
            line = py + np.abs(c.x - px + warp) * steep + warp
            lit = np.where(line < height, ramp(zigzag * (1 if sun[0] > 0.5 else -1), -0.015, 0.03), lit)
            height = np.minimum(height, line)
        inside = np.clip((c.y - height) * c.size, 0, 1)
        streak = c.noise(22, 9, 4, 0.6)
        rock = blend(
            colour(0.24, 0.25, 0.31), colour(0.50, 0.45, 0.43), (lit * 0.75 + 0.35 * (streak - 0.5))[..., None]
        )
        snow = blend(colour(0.50, 0.60, 0.80), colour(1.0, 0.99, 0.98), lit[..., None])
        if hour.name in ("dawn", "golden", "dusk"):
            snow = snow * blend(colour(1, 1, 1), colour(1.25, 0.85, 0.72), lit[..., None])
        depth = rng.uniform(0.2, 0.5)
        cover = ramp(streak * 0.5 + (c.y - height) / depth * 0.6, 0.78, 0.62)
        rgb = blend(rock, snow, cover[..., None]) * (0.88 + 0.25 * streak[..., None]) * (hour.light * 0.9 + 0.1)
        c.fill(inside, blend(rgb, hour.low, (ramp(c.y, base - 0.35, base + 0.1) * 0.35)[..., None]))
    kind = rng.random()
    if kind < 0.45:
        conifers(
            c, base + 0.02, rng.uniform(0.10, 0.2), colour(0.10, 0.20, 0.15) * hour.light, int(rng.integers(14, 26))
        )
        meadow(c, hour, base + 0.01, colour(0.28, 0.40, 0.18) if rng.random() < 0.6 else colour(0.9, 0.93, 0.98))
    elif kind < 0.8:
        hills(c, base - 0.05, 0.07, colour(0.10, 0.18, 0.15) * hour.light, 6, 0.6)
        mirror(c, base, hour.middle * 0.7)
    else:
        meadow(c, hour, base - 0.02, colour(0.88, 0.92, 0.98), 0.14)
    if rng.random() < 0.3:
        conifers(c, 1.02, rng.uniform(0.25, 0.4), colour(0.07, 0.15, 0.11) * hour.light, int(rng.integers(2, 6)))


def sunflowers(c: Canvas) -> None:
    """A field of sunflowers to the horizon."""
    rng = c.rng
    hour = an_hour(c, day=5, golden=3, dawn=1, grey=1, dusk=0.6)
    horizon = rng.uniform(0.16, 0.48)
    sky(c, hour, horizon, disc=0.3)
    if rng.random() < 0.5:
        hills(c, horizon - 0.1, 0.12, blend(colour(0.25, 0.36, 0.30) * hour.light, hour.low, 0.3), 3)
    meadow(c, hour, horizon, colour(0.20, 0.34, 0.10), 0.01)
    rows = [*np.geomspace(0.013, rng.uniform(0.11, 0.3), int(rng.integers(6, 8)))]
    with c.pen() as pen:
        for size in rows:
            y = horizon + (size / rows[-1]) ** 0.9 * (0.92 - horizon)
            number = int(np.clip(1.35 / (size * 2.3), 2, 36))
            offset = rng.random()
            for i in range(number):
                x = (i + offset + rng.uniform(-0.3, 0.3)) / number * 1.2 - 0.1
                nature.sunflower(
                    c, hour, x, y + rng.uniform(-0.6, 0.6) * size, size * rng.uniform(0.8, 1.15), pen, size * 3
                )


def cactus(c: Canvas) -> None:
    """Saguaros in a desert of dunes and mesas."""
    rng = c.rng
    hour = an_hour(c, golden=4, day=4, dusk=2, dawn=1.5, night=0.8)
    horizon = rng.uniform(0.5, 0.72)
    sun = sky(c, hour, horizon, clouds=rng.uniform(-0.5, 0.3))
    sand = pick(c, [(0.90, 0.66, 0.40), (0.85, 0.52, 0.30), (0.93, 0.78, 0.55)])
    if rng.random() < 0.65:
        step = horizon - 0.2 * np.clip((c.ridge(3, 3) - 0.38) * 9, 0, 1) * rng.uniform(0.4, 1)
        strata = 0.85 + 0.25 * np.sin(c.y * rng.uniform(60, 110) + 3 * c.noise(3))
        mesa = blend(colour(0.66, 0.30, 0.20) * hour.light, hour.low, 0.25)
        c.fill(np.clip((c.y - step[None]) * c.size, 0, 1) * (c.y < horizon + 0.03), mesa * strata[..., None])
    for i in range(3):
        top = horizon + 0.13 * i - 0.03 * (i == 0)
        line = top + 0.10 * (c.ridge(1.6, 3, 0.35) - 0.5)
        depth = c.y - line[None]
        ripple = np.sin((depth * 60 + 9 * c.noise(3, 4, 2) + c.x * 8) * (1.6 - 0.3 * i))
        tone = 0.95 + 0.09 * ripple + 0.2 * np.exp(-depth / 0.03) - 0.25 * ramp(depth, 0.02, 0.25)
        c.fill(np.clip(depth * c.size, 0, 1), sand * hour.light * (tone * (0.82 + 0.1 * i))[..., None])
    with c.pen() as pen:
        for _ in range(int(rng.integers(2, 9))):
            x, y, r = rng.random(), rng.uniform(horizon + 0.1, 1), rng.uniform(0.01, 0.03)
            pen.ellipse(x, y, r, r * 0.6, colour(0.35, 0.24, 0.18) * hour.light)
            pen.ellipse(x + r * 0.15, y - r * 0.12, r * 0.75, r * 0.42, colour(0.62, 0.44, 0.32) * hour.light)
    for _ in range(int(rng.integers(0, 3))):
        nature.cactus(
            c, hour, rng.uniform(0.05, 0.95), horizon + rng.uniform(0.05, 0.12), rng.uniform(0.14, 0.26), sun[0]
        )
    foot = rng.uniform(horizon + 0.14, 0.92)
    nature.cactus(c, hour, rng.uniform(0.28, 0.72), foot, min(rng.uniform(0.5, 0.75), foot - 0.04), sun[0])


def forest(c: Canvas) -> None:
    """Firs in the mist, or among tall trunks."""
    rng = c.rng
    hour = an_hour(c, grey=3, dawn=3, day=3, golden=2, night=1)
    sun = sky(c, hour, 0.75, clouds=-1, disc=0.3)
    green = pick(c, [(0.10, 0.26, 0.14), (0.14, 0.28, 0.12), (0.08, 0.22, 0.19)])
    mist = blend(hour.low, colour(0.9, 0.95, 0.92) * hour.light, 0.5)
    if rng.random() < 0.6:
        layers = int(rng.integers(3, 5))
        for i in range(layers):
            t = (i + 1) / layers
            rgb = blend(mist * 0.85, green * hour.light * 1.2, t**0.8)
            foot, height = 0.45 + 0.5 * t, 0.26 + 0.42 * t
            conifers(c, foot + 0.06, height, rgb, int(18 / (0.6 + 1.4 * t)))
            fog = ramp(c.y, foot - 0.16, foot + 0.08) * (1 - t) * (0.5 + 0.6 * c.noise(3, 8))
            c.fill(np.clip(fog, 0, 1), mist)
        meadow(c, hour, 0.93, green * 1.6, 0.05)
        return
    c.rgb[:] = blend(c.rgb, green * 1.8 * hour.light, (0.35 + 0.4 * c.noise(8, 8, 4)[..., None]))
    for i in range(3):
        with c.pen() as pen:
            for x in rng.uniform(-0.05, 1.05, 5 - i):
                w = (0.022 + 0.03 * i) * rng.uniform(0.75, 1.3)
                lean = rng.uniform(-0.05, 0.05)
                bark = blend(mist * 0.6, colour(0.28, 0.20, 0.14) * hour.light, 0.45 + 0.27 * i)
                foot = 0.80 + 0.06 * i
                pen.polygon(
                    [(x - w + lean, -0.02), (x + w + lean, -0.02), (x + w * 1.25, foot), (x - w * 1.25, foot)], bark
                )
                for k in np.linspace(-0.9, 0.9, 7):
                    pen.line([(x + k * w + lean, -0.02), (x + k * w * 1.2, foot)], 0.006, bark * rng.uniform(0.6, 1.5))
    leaves = ramp(c.noise(16, 16, 4, 0.7), 0.5, 0.62) * ramp(c.y, rng.uniform(0.3, 0.5), 0.0)
    c.fill(leaves, green * (0.9 + 1.6 * c.noise(40, 40, 2)[..., None]) * (hour.light + 0.1))
    floor = np.clip((c.y - (0.78 + 0.06 * (c.ridge(4) - 0.5))[None]) * c.size, 0, 1)
    c.fill(
        floor,
        blend(green * 1.5, colour(0.36, 0.25, 0.13), c.noise(9, 20, 3)[..., None])
        * hour.light
        * (0.6 + 0.8 * c.noise(50, 50, 2)[..., None]),
    )
    for _ in range(int(rng.integers(2, 6))):
        x, w, drift = rng.uniform(-0.1, 0.9), rng.uniform(0.03, 0.08), (0.5 - sun[0]) * 0.9
        shaft = c.soften(c.polygon([(x, -0.02), (x + w, -0.02), (x + w * 2 + drift, 1), (x + drift, 1)]), 0.012)
        c.light(shaft * 0.22 * ramp(c.y, 1.0, 0.2), hour.sun)


def windmill(c: Canvas) -> None:
    """A mill over rows of tulips."""
    rng = c.rng
    hour = an_hour(c, day=5, golden=2, dawn=1.5, grey=1.5, dusk=1)
    horizon = rng.uniform(0.58, 0.72)
    sun = sky(c, hour, horizon, disc=0.35)
    meadow(c, hour, horizon, colour(0.30, 0.47, 0.16), 0.01)
    kind = rng.random()
    if kind < 0.7:
        u, v, mask = ground_plane(c, horizon)
        rows = u * rng.uniform(1.6, 2.6) + rng.uniform(-2, 2)
        palette = np.stack(
            [
                pick(
                    c,
                    [
                        (0.88, 0.12, 0.14),
                        (0.98, 0.78, 0.12),
                        (0.92, 0.42, 0.62),
                        (0.55, 0.2, 0.6),
                        (0.97, 0.95, 0.9),
                        (0.98, 0.5, 0.1),
                    ],
                )
                for _ in range(16)
            ]
        )
        bloom = palette[(np.floor(rows).astype(int)) % 16]
        gap = ramp(np.abs(rows % 1 - 0.5), 0.42, 0.34)
        speckle = c.lattice(u * 34, v * 16, 2, horizon)
        tone = 0.6 + 0.8 * speckle
        leaf = ramp(speckle, 0.36, 0.28)
        rgb = blend(bloom * tone[..., None], colour(0.18, 0.36, 0.12), leaf[..., None] * 0.8)
        c.fill(mask * gap * ramp(c.y, horizon + 0.015, horizon + 0.05), rgb * hour.light)
    elif kind < 0.85:
        mirror(c, rng.uniform(0.84, 0.9), hour.middle * 0.6)
    if rng.random() < 0.3:
        manmade.windmill(c, hour, rng.choice([0.1, 0.9]), horizon + 0.01, rng.uniform(0.14, 0.22), sun[0])
    foot = horizon + rng.uniform(0.02, 0.1)
    manmade.windmill(c, hour, rng.uniform(0.32, 0.68), foot, rng.uniform(0.48, 0.62), sun[0])
