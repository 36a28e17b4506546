"""Things that grew: each is drawn at a place and size, in the light of an hour."""

from __future__ import annotations

import math

import numpy as np

from activation_atlas.stages.demo.backdrops import Hour
from activation_atlas.stages.demo.canvas import WHITE, Canvas, Pen, blend, colour, pick, ramp


def cactus(c: Canvas, hour: Hour, x: float, foot: float, height: float, sun_x: float) -> None:
    """A saguaro with ribs, spines and up to three arms."""
    rng = c.rng
    green = pick(c, [(0.22, 0.42, 0.20), (0.30, 0.46, 0.22), (0.20, 0.38, 0.26)]) * hour.light
    thick = height * rng.uniform(0.15, 0.19)
    side = 1 if sun_x > x else -1
    limbs = [([(x, foot), (x, foot - height + thick / 2)], thick)]
    for sign in rng.permutation([-1, 1])[: int(rng.choice([1, 2, 2, 2]))]:
        out, low = height * rng.uniform(0.2, 0.3), foot - height * rng.uniform(0.3, 0.55)
        tip = low - height * rng.uniform(0.22, 0.4)
        arc = [
            (x + sign * out * math.sin(a), low - out * 0.45 * (1 - math.cos(a))) for a in np.linspace(0, math.pi / 2, 8)
        ]
        limbs.append(([*arc, (x + sign * out, tip)], thick * 0.72))
    with c.pen() as pen:
        pen.ellipse(x - side * height * 0.3, foot, height * 0.42, thick * 0.14, colour(0.2, 0.12, 0.1), 0.35)
        for points, width in limbs[1:] + limbs[:1]:
            pen.line(points, width, green * 0.62)
            for k, tone in ((-0.32, 0.72), (-0.16, 0.95), (0.0, 0.8), (0.15, 1.12), (0.30, 0.95), (0.42, 1.3)):
                moved = [(px + side * k * width, py + abs(k) * width * 0.4) for px, py in points]
                pen.line(moved, width * 0.11, green * tone)
        pale = colour(0.92, 0.88, 0.7) * hour.light
        for points, width in limbs:
            for _ in range(int(60 * height)):
                (ax, ay), (bx, by) = points[-2], points[-1]
                t, k = rng.random(), rng.uniform(-0.5, 0.5)
                pen.ellipse(ax + (bx - ax) * t + k * width, ay + (by - ay) * t, 0.0025, 0.0025, pale, 0.7)
        if rng.random() < 0.35:
            for k in (-0.3, 0, 0.3):
                pen.ellipse(
                    x + k * thick, foot - height, thick * 0.17, thick * 0.15, colour(0.95, 0.75, 0.8) * hour.light
                )


def sunflower(c: Canvas, hour: Hour, x: float, y: float, radius: float, pen: Pen, stem: float) -> None:
    """A flower head with two rings of petals and a seeded disc, on a leafy stem."""
    rng = c.rng
    green = colour(0.20, 0.40, 0.12) * hour.light * rng.uniform(0.8, 1.15)
    squash = rng.uniform(0.82, 1.0)
    if radius < 0.03:  # far away: a star of gold and a dark spot
        gold = colour(0.98, 0.72, 0.06) * hour.light * rng.uniform(0.8, 1.05)
        pen.polygon(
            [
                (x + math.cos(a) * radius * m, y + math.sin(a) * radius * m * squash)
                for a, m in zip(np.linspace(0, 2 * math.pi, 15)[:-1], (1.05, 0.72) * 7, strict=True)
            ],
            gold,
        )
        pen.ellipse(x, y, radius * 0.42, radius * 0.42 * squash, colour(0.24, 0.13, 0.05) * hour.light)
        return
    pen.line([(x, y), (x + rng.uniform(-0.2, 0.2) * radius, y + stem)], radius * 0.16, green)
    if stem > radius:
        for side in (-1, 1):
            lx, ly, w = x + side * radius * 0.8, y + radius * rng.uniform(1.5, 2.0), radius * rng.uniform(0.6, 0.85)
            pen.polygon(
                [
                    (x, ly + w * 0.3),
                    (lx - side * w * 0.2, ly - w * 0.5),
                    (lx + side * w * 0.7, ly),
                    (lx - side * w * 0.1, ly + w * 0.45),
                ],
                green * rng.uniform(0.85, 1.3),
            )
    petals = int(rng.integers(13, 19)) if radius > 0.05 else 11
    gold = colour(1.0, rng.uniform(0.68, 0.80), 0.06) * hour.light
    for ring, (reach, tone) in enumerate(((1.0, 0.80), (0.88, 1.0))):
        for i in range(petals):
            a = 2 * math.pi * (i + 0.5 * ring) / petals + rng.normal(0, 0.05)
            r, w = radius * reach * rng.uniform(0.9, 1.08), 2.6 / petals
            pts = [
                (math.cos(a + k * w) * r * m, math.sin(a + k * w) * r * m * squash)
                for k, m in ((0, 0.3), (-0.55, 0.66), (0, 1), (0.55, 0.66))
            ]
            pen.polygon([(x + px, y + py) for px, py in pts], gold * tone * rng.uniform(0.86, 1.1))
    core = radius * rng.uniform(0.42, 0.5)
    brown = colour(0.27, 0.14, 0.05) * hour.light
    pen.ellipse(x, y, core, core * squash, brown)
    if radius > 0.05:
        for i in range(int(radius * 750)):
            a, r = i * 2.39996, core * 0.95 * math.sqrt(i / (radius * 750))
            tone = brown * (2.2 if r > core * 0.62 else 0.45 if r < core * 0.4 else 1.5)
            pen.ellipse(x + math.cos(a) * r, y + math.sin(a) * r * squash, 0.0042, 0.0042, tone)
    else:
        pen.ellipse(x, y, core * 0.5, core * 0.5 * squash, brown * 0.5)


def planet(c: Canvas, x: float, y: float, radius: float) -> None:
    """A banded globe lit from one side, with rings before and behind it."""
    rng = c.rng
    tints = [
        ((0.90, 0.76, 0.55), (0.68, 0.44, 0.28)),
        ((0.55, 0.75, 0.90), (0.18, 0.32, 0.62)),
        ((0.93, 0.62, 0.42), (0.52, 0.20, 0.16)),
        ((0.72, 0.88, 0.76), (0.20, 0.45, 0.42)),
        ((0.85, 0.7, 0.9), (0.4, 0.25, 0.55)),
    ]
    one, two = (colour(*t) for t in tints[rng.integers(len(tints))])
    tilt, open_ = rng.uniform(-0.6, 0.6), rng.uniform(0.16, 0.4)
    u, v = c.turned(x, y, tilt)
    r = np.sqrt(u * u + (v / open_) ** 2) / radius
    gaps = 0.5 + 0.5 * np.sin(r * rng.uniform(26, 40)) * np.sin(r * 11 + 2)
    inner, outer = rng.uniform(1.25, 1.4), rng.uniform(1.9, 2.4)
    ring = ramp(r, inner, inner + 0.05) * ramp(r, outer, outer - 0.06) * (0.35 + 0.6 * gaps)
    ring *= 1 - 0.9 * np.exp(-(((r - (inner + outer) / 2) / 0.035) ** 2))
    ring_rgb = blend(one, colour(1, 0.95, 0.85), 0.4)
    lamp = rng.uniform(0, 2 * math.pi)
    z = np.sqrt(np.clip(1 - (u * u + v * v) / radius**2, 0, 1))
    day = np.clip(((c.x - x) * math.cos(lamp) + (c.y - y) * math.sin(lamp)) / radius * 0.85 + z * 0.55, 0, 1)
    globe = c.disc(x, y, radius)
    c.fill(ring * (v < 0), ring_rgb * 0.85)
    wobble = (c.noise(3, 9, 4) - 0.5) * 1.1
    bands = 0.5 + 0.5 * np.sin(v / radius * rng.uniform(7, 15) + wobble * 4)
    surface = blend(two, one, ramp(bands + wobble * 0.5, 0.15, 0.85)[..., None])
    c.light(c.glow(x, y, radius * 1.35) * 0.22, one)
    c.fill(globe, surface * (0.05 + 1.05 * day)[..., None])
    if rng.random() < 0.5:
        spot = c.disc(
            x + radius * rng.uniform(-0.4, 0.4), y + radius * rng.uniform(-0.4, 0.4), radius * 0.2, radius * 0.1, tilt
        )
        c.fill(spot * globe * 0.7, two * 0.8 * (0.1 + day)[..., None])
    c.fill(ring * (v >= 0), ring_rgb)


def fish(c: Canvas, x: float, y: float, length: float, pen: Pen) -> None:
    """A reef fish: body, fins, stripes, eye."""
    rng = c.rng
    way = 1 if rng.random() < 0.5 else -1
    kinds = [
        ((0.98, 0.45, 0.08), (0.98, 0.97, 0.94)),
        ((0.98, 0.82, 0.12), (0.12, 0.12, 0.2)),
        ((0.15, 0.35, 0.85), (0.98, 0.82, 0.15)),
        ((0.85, 0.2, 0.35), (1.0, 0.85, 0.6)),
        ((0.92, 0.93, 0.95), (0.1, 0.1, 0.15)),
    ]
    main, trim = (colour(*k) for k in kinds[rng.integers(len(kinds))])
    deep = length * rng.uniform(0.26, 0.36)

    def at(u: float, v: float) -> tuple[float, float]:
        return x + way * u * length, y + v * deep

    pen.polygon([at(-0.42, 0), at(-0.72, -0.85), at(-0.64, 0), at(-0.72, 0.85)], main * 0.85)
    pen.polygon([at(-0.3, -0.7), at(0.0, -1.45), at(0.3, -0.75)], main * 0.8)
    pen.polygon([at(-0.2, 0.7), at(-0.1, 1.35), at(0.2, 0.75)], main * 0.8)
    outline = [(0.5 * math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 28)]
    pen.polygon([at(u, v) for u, v in outline], main)
    pen.polygon(
        [
            at(u * 0.96, v * 0.5 + 0.42)
            for u, v in outline
            if v * 0.5 + 0.42 < math.sqrt(max(0, 1 - (u * 2) ** 2)) + 0.1
        ],
        blend(main, WHITE, 0.35),
        0.5,
    )
    for u in (-0.26, 0.02, 0.26) if rng.random() < 0.6 else (0.2,):
        h = math.sqrt(1 - (u * 2) ** 2) * 0.97
        pen.polygon(
            [
                at(u - 0.045, -h),
                at(u + 0.045, -h),
                at(u + 0.075, 0),
                at(u + 0.045, h),
                at(u - 0.045, h),
                at(u - 0.01, 0),
            ],
            trim,
        )
    pen.ellipse(*at(0.36, -0.2), length * 0.05, length * 0.05, WHITE)
    pen.ellipse(*at(0.37, -0.2), length * 0.028, length * 0.028, colour(0.03, 0.03, 0.05))


def coral(c: Canvas, x: float, foot: float, height: float, rgb: np.ndarray, pen: Pen) -> None:
    """A branching coral."""

    def grow(px: float, py: float, angle: float, length: float, width: float, depth: int) -> None:
        qx, qy = px + math.cos(angle) * length, py + math.sin(angle) * length
        pen.line([(px, py), (qx, qy)], width, rgb * (0.6 + 0.16 * (4 - depth)))
        if depth == 0:
            pen.ellipse(qx, qy, width * 0.75, width * 0.75, blend(rgb, WHITE, 0.5))
            return
        for turn in c.rng.permutation([-0.55, 0.0, 0.5])[: 2 if depth < 3 else 3]:
            grow(
                qx,
                qy,
                angle + turn + c.rng.normal(0, 0.15),
                length * c.rng.uniform(0.62, 0.82),
                width * 0.76,
                depth - 1,
            )

    grow(x, foot, -math.pi / 2 + c.rng.normal(0, 0.1), height * 0.34, height * 0.11, 3)


def owl(c: Canvas, hour: Hour, x: float, foot: float, height: float) -> None:
    """A perched owl: feathered body, face discs, wide eyes."""
    rng = c.rng
    brown = pick(c, [(0.46, 0.31, 0.18), (0.55, 0.42, 0.28), (0.62, 0.60, 0.58), (0.36, 0.26, 0.20)])
    light = hour.light * 0.6 + 0.38
    iris = pick(c, [(1.0, 0.78, 0.10), (1.0, 0.55, 0.08), (0.95, 0.90, 0.35)])
    head_y, w = foot - height * 0.74, height * 0.31
    body = c.disc(x, foot - height * 0.40, w, height * 0.42)
    head = c.disc(x, head_y, w * 0.97, height * 0.255)
    side = 0.7 + 0.35 * ramp((c.x - x) / w, -1, 0.6)
    c.fill(np.maximum(body, head), brown * side[..., None] * light * (0.8 + 0.4 * c.noise(26, 44, 2)[..., None]))
    with c.pen() as pen:
        belly = blend(brown, colour(0.95, 0.88, 0.75), 0.65) * light
        for i in range(6):
            for j in range(-2, 3):
                px = x + (j + 0.5 * (i % 2)) * w * 0.3
                py = foot - height * (0.53 - 0.085 * i)
                if ((px - x) / (w * 0.66)) ** 2 + ((py - foot + height * 0.36) / (height * 0.3)) ** 2 < 1:
                    pen.ellipse(px, py, w * 0.155, height * 0.052, belly * rng.uniform(0.88, 1.08))
                    pen.polygon(
                        [(px - w * 0.05, py), (px + w * 0.05, py), (px, py + height * 0.055)], brown * 0.55 * light
                    )
        for s in (-1, 1):
            pen.polygon(
                [
                    (x + s * w * 0.62, foot - height * 0.62),
                    (x + s * w * 1.06, foot - height * 0.45),
                    (x + s * w * 0.86, foot - height * 0.08),
                    (x + s * w * 0.62, foot + height * 0.06),
                ],
                brown * 0.62 * light,
            )
            for k in range(4):
                y = foot - height * (0.46 - 0.11 * k)
                pen.line(
                    [(x + s * w * 0.66, y), (x + s * w * (0.98 - 0.05 * k), y + height * 0.025)],
                    height * 0.014,
                    brown * 1.25 * light,
                )
            pen.polygon(
                [
                    (x + s * w * 0.35, head_y - height * 0.2),
                    (x + s * w * 0.92, head_y - height * 0.37),
                    (x + s * w * 0.9, head_y - height * 0.08),
                ],
                brown * 0.75 * light,
            )
            ex = x + s * w * 0.43
            pen.ellipse(ex, head_y, w * 0.47, w * 0.49, blend(brown, colour(0.95, 0.88, 0.76), 0.6) * light)
            pen.ellipse(ex, head_y, w * 0.36, w * 0.36, brown * 0.5 * light)
            pen.ellipse(ex, head_y, w * 0.31, w * 0.31, iris * (light * 0.4 + 0.6))
            pen.ellipse(ex, head_y, w * 0.165, w * 0.165, colour(0.02, 0.02, 0.03))
            pen.ellipse(ex + w * 0.07, head_y - w * 0.08, w * 0.055, w * 0.055, colour(1, 1, 1))
        pen.polygon(
            [(x - w * 0.12, head_y + w * 0.12), (x + w * 0.12, head_y + w * 0.12), (x, head_y + w * 0.52)],
            colour(0.85, 0.62, 0.25) * light,
        )
        for s in (-1, 1):
            for toe in (-0.09, 0.0, 0.09):
                pen.ellipse(
                    x + (s * 0.4 + toe * 1.4) * w,
                    foot + height * 0.015,
                    w * 0.06,
                    height * 0.032,
                    colour(0.8, 0.6, 0.3) * light,
                )
