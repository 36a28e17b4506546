"""Things people built: each is drawn at a place and size, in the light of an hour."""

from __future__ import annotations

import math

import numpy as np

from activation_atlas.stages.demo.backdrops import Hour
from activation_atlas.stages.demo.canvas import WHITE, Canvas, Pen, blend, colour, pick, ramp


def lighthouse(c: Canvas, hour: Hour, x: float, foot: float, height: float, sun_x: float) -> None:
    """A banded tower with gallery, lantern and, in the dark, its beams."""
    rng = c.rng
    band = pick(c, [(0.78, 0.10, 0.10), (0.78, 0.10, 0.10), (0.10, 0.12, 0.16), (0.12, 0.25, 0.55)])
    wide, narrow = height * rng.uniform(0.13, 0.17), height * rng.uniform(0.075, 0.095)
    top = foot - height * 0.8
    v = np.clip((foot - c.y) / (foot - top), 0, 1)
    half = blend(np.float32(wide), np.float32(narrow), v)
    across = (c.x - x) / half
    tower = c.polygon([(x - wide, foot), (x - narrow, top), (x + narrow, top), (x + wide, foot)])
    bands = rng.choice([3, 4, 5])
    spiral = rng.uniform(0.25, 0.5) if rng.random() < 0.25 else 0.0
    striped = ramp(np.sin((v * bands + across * spiral) * 2 * math.pi), -0.08, 0.08)
    side = 1.0 if sun_x > x else -1.0
    round_ = 0.62 + 0.45 * ramp(across * side, -1.1, 0.7)
    c.fill(
        tower,
        blend(WHITE, band, striped[..., None])
        * round_[..., None]
        * hour.light
        * (0.95 + 0.1 * c.noise(30, 50, 1)[..., None]),
    )
    lamp_y = top - height * 0.085
    if hour.dark:
        for sign in (1, -1):
            reach, spread = rng.uniform(0.5, 1.1), rng.uniform(0.05, 0.11)
            rise = rng.uniform(-0.12, 0.05)
            beam = c.soften(
                c.polygon(
                    [
                        (x, lamp_y),
                        (x + sign * reach, lamp_y + rise - spread),
                        (x + sign * reach, lamp_y + rise + spread),
                    ]
                ),
                0.012,
            )
            c.light(beam * np.exp(-np.abs(c.x - x) * 2.4) * 0.55, colour(1, 0.93, 0.65))
    dark = band * 0.45 * hour.light
    with c.pen() as pen:
        for i in range(int(rng.integers(2, 4))):
            y = foot - height * (0.16 + 0.2 * i)
            pen.box(x - height * 0.013, y - height * 0.045, x + height * 0.013, y, colour(0.09, 0.09, 0.12))
        pen.box(x - narrow * 1.55, top - height * 0.018, x + narrow * 1.55, top + height * 0.022, dark)
        pen.box(
            x - narrow * 0.8,
            top - height * 0.15,
            x + narrow * 0.8,
            top - height * 0.018,
            colour(1.0, 0.92, 0.6) if hour.dark else colour(0.62, 0.78, 0.85) * hour.light,
        )
        for i in range(-2, 3):
            pen.line([(x + i * narrow * 0.4, top - height * 0.15), (x + i * narrow * 0.4, top)], height * 0.008, dark)
        pen.polygon(
            [
                (x - narrow * 1.05, top - height * 0.145),
                (x - narrow * 0.5, top - height * 0.2),
                (x, top - height * 0.225),
                (x + narrow * 0.5, top - height * 0.2),
                (x + narrow * 1.05, top - height * 0.145),
            ],
            band * 0.85 * hour.light,
        )
        pen.line([(x, top - height * 0.22), (x, top - height * 0.27)], height * 0.012, dark)
    if hour.dark:
        c.light(c.glow(x, lamp_y, height * 0.13), colour(0.9, 0.8, 0.5) * 0.8)


def sailboat(c: Canvas, hour: Hour, x: float, water: float, height: float) -> None:
    """Hull, mast, main and jib with seams, and its broken reflection."""
    rng = c.rng
    flip = 1 if rng.random() < 0.5 else -1
    lean = rng.uniform(-0.05, 0.09) * flip
    cloth = pick(
        c, [(0.97, 0.96, 0.93), (0.97, 0.96, 0.93), (0.93, 0.88, 0.76), (0.80, 0.16, 0.13), (0.95, 0.62, 0.15)]
    )
    jib = cloth if rng.random() < 0.6 else pick(c, [(0.85, 0.2, 0.15), (0.15, 0.3, 0.6), (0.98, 0.8, 0.3)])
    hull = pick(c, [(0.95, 0.95, 0.95), (0.10, 0.16, 0.30), (0.45, 0.20, 0.10), (0.70, 0.12, 0.12)])
    length = height * rng.uniform(0.42, 0.55)

    def at(u: float, v: float) -> tuple[float, float]:
        return x + flip * u * height + lean * v * height, water - v * height

    before = c.rgb.copy()
    foot, peak = 0.14, 1.0
    leech = [
        at(0.03 + 0.40 * s + 0.10 * math.sin(math.pi * s), peak - (peak - foot) * s) for s in np.linspace(0, 1, 12)
    ]
    main = c.polygon([at(0.02, peak), *leech, at(0.02, foot)])
    luff = [
        at(-0.01 - 0.36 * s - 0.05 * math.sin(math.pi * s), 0.93 - (0.93 - foot) * s) for s in np.linspace(0, 1, 12)
    ]
    fore = c.polygon([at(-0.015, 0.93), *luff, at(-0.04, foot)])
    u = (c.x - x) * flip / height
    for mask, rgb in ((main, cloth), (fore, jib)):
        fold = 0.80 + 0.32 * ramp(np.abs(u), 0.42, 0.0) + 0.05 * np.sin((c.y - water) / height * 34)
        c.fill(mask, rgb * fold[..., None] * (hour.light * 0.85 + 0.15))
    half = length / height
    with c.pen() as pen:
        pen.line([at(0.0, 0.08), at(0.0, 1.03)], height * 0.018, colour(0.35, 0.25, 0.18) * hour.light)
        pen.line([at(0.0, foot - 0.01), at(0.43, foot)], height * 0.014, colour(0.35, 0.25, 0.18) * hour.light)
        pen.polygon(
            [at(-half, 0.10), at(half, 0.085), at(half * 0.82, 0.0), at(-half * 0.72, -0.01)],
            hull * hour.light,
        )
        pen.polygon(
            [at(-half, 0.10), at(half, 0.085), at(half * 0.96, 0.062), at(-half * 0.94, 0.073)],
            blend(hull, WHITE, 0.6) * hour.light,
        )
    changed = ramp(np.abs(c.rgb - before).max(-1), 0.02, 0.08)
    row = int(water * c.size)
    below = c.size - row
    source = np.clip(row - 1 - (np.arange(below) * 1.35).astype(int), 0, c.size - 1)
    wave = ((c.noise(5, 60, 2)[row:] - 0.5) * np.linspace(6, 34, below)[:, None]).astype(np.int32)
    columns = np.clip(np.arange(c.size)[None] + wave, 0, c.size - 1)
    mask = np.take_along_axis(changed[source], columns, 1) * np.linspace(0.6, 0.1, below)[:, None]
    picture = np.take_along_axis(c.rgb[source], np.broadcast_to(columns[..., None], (below, c.size, 3)), 1)
    c.rgb[row:] += mask[..., None] * (picture * 0.85 - c.rgb[row:])
    foam = (
        np.exp(-(((c.y - water - 0.012) / 0.012) ** 2))
        * (np.abs(c.x - x) < length * 1.1)
        * ramp(c.noise(30, 60, 2), 0.4, 0.7)
    )
    c.fill(foam * 0.7, colour(0.95, 0.97, 1) * (hour.light * 0.7 + 0.3))


def balloon(c: Canvas, hour: Hour, x: float, y: float, radius: float) -> None:
    """An envelope of coloured gores over a basket."""
    rng = c.rng
    palette = [
        colour(*rgb)
        for rgb in (
            (0.88, 0.15, 0.13),
            (0.98, 0.75, 0.12),
            (0.12, 0.35, 0.72),
            (0.97, 0.95, 0.9),
            (0.10, 0.55, 0.45),
            (0.55, 0.2, 0.55),
            (0.97, 0.48, 0.12),
        )
    ]
    first, second, third = (palette[i] for i in rng.permutation(len(palette))[:3])
    v = (c.y - y) / radius
    half = np.where(
        v < 0.15,
        np.sqrt(np.clip(1.15**2 - (v - 0.15) ** 2, 0, None)) / 1.15,
        np.clip(1 - ((v - 0.15) / 1.28) ** 2, 0, None) ** 0.75,
    )
    half = np.where(v > 1.22, 0, half) * radius * 1.02
    across = (c.x - x) / np.maximum(half, 1e-4)
    mask = np.clip((half - np.abs(c.x - x)) * c.size, 0, 1) * (v > -1.02)
    angle = np.arcsin(np.clip(across, -1, 1)) / math.pi + 0.5
    gores = int(rng.choice([6, 8, 10]))
    kind = rng.random()
    if kind < 0.5:
        which = np.floor(angle * gores) % 2
    elif kind < 0.8:
        which = np.floor((v + 1) * 3.2) % 2
    else:
        which = np.floor(angle * gores + v * 2.4) % 2
    rgb = np.where(which[..., None] > 0.5, first, second)
    band = (np.abs(v - 0.3) < 0.12) if rng.random() < 0.5 else (v < -0.72)
    rgb = np.where(band[..., None], third, rgb)
    seam = np.abs((angle * gores) % 1 - 0.5) * 2
    shade = (0.60 + 0.52 * ramp(across - 0.5 * v, -1.3, 0.7)) * (0.86 + 0.14 * ramp(seam, 1.0, 0.75))
    c.fill(mask, rgb * shade[..., None] * (hour.light * 0.85 + 0.15))
    if hour.dark:
        c.light(mask * np.exp(-((v - 0.9) ** 2) / 0.8), colour(0.85, 0.5, 0.15) * 0.8)
    basket = y + radius * 1.55
    with c.pen() as pen:
        for sign in (-1, -0.35, 0.35, 1):
            pen.line(
                [(x + sign * radius * 0.2, y + radius * 1.18), (x + sign * radius * 0.14, basket)],
                radius * 0.025,
                colour(0.2, 0.15, 0.12),
            )
        pen.box(
            x - radius * 0.16, basket, x + radius * 0.16, basket + radius * 0.2, colour(0.45, 0.28, 0.14) * hour.light
        )
        pen.box(
            x - radius * 0.17, basket, x + radius * 0.17, basket + radius * 0.05, colour(0.25, 0.14, 0.08) * hour.light
        )


def windmill(c: Canvas, hour: Hour, x: float, foot: float, height: float, sun_x: float) -> None:
    """A smock mill: tapered body, cap, four latticed sails."""
    rng = c.rng
    body = pick(c, [(0.42, 0.26, 0.17), (0.30, 0.22, 0.18), (0.88, 0.85, 0.78), (0.55, 0.18, 0.14)]) * hour.light
    wide, narrow, top = height * 0.21, height * 0.115, foot - height * 0.72
    side = 1 if sun_x > x else -1
    across = (c.x - x) / wide
    mask = c.polygon([(x - wide, foot), (x - narrow, top), (x + narrow, top), (x + wide, foot)])
    planks = 0.9 + 0.14 * c.noise(4, 46, 1)
    c.fill(mask, body * ((0.6 + 0.5 * ramp(across * side, -0.9, 0.7)) * planks)[..., None])
    roof = body * 0.5
    hub_x, hub_y = x + rng.uniform(-0.02, 0.02), top - height * 0.03
    turn = rng.uniform(0, math.pi / 2)
    frame, cloth = colour(0.22, 0.15, 0.11) * hour.light, colour(0.94, 0.91, 0.84) * hour.light
    with c.pen() as pen:
        pen.box(x - wide * 1.25, foot - height * 0.24, x + wide * 1.25, foot - height * 0.215, frame)
        pen.box(x - wide * 0.2, foot - height * 0.15, x + wide * 0.2, foot, colour(0.2, 0.13, 0.1))
        for s in (-1, 1):
            pen.box(
                x + s * narrow * 0.6 - height * 0.015,
                top + height * 0.16,
                x + s * narrow * 0.6 + height * 0.015,
                top + height * 0.22,
                colour(0.85, 0.88, 0.85) * hour.light,
            )
        pen.polygon(
            [
                (x - narrow * 1.15, top),
                (x - narrow * 0.9, top - height * 0.07),
                (x, top - height * 0.115),
                (x + narrow * 0.9, top - height * 0.07),
                (x + narrow * 1.15, top),
            ],
            roof,
        )
        for i in range(4):
            a = turn + i * math.pi / 2
            dx, dy, nx, ny = math.cos(a), math.sin(a), -math.sin(a), math.cos(a)
            reach, w = height * 0.52, height * 0.105

            def at(t: float, k: float) -> tuple[float, float]:
                return hub_x + dx * t * reach + nx * k * w, hub_y + dy * t * reach + ny * k * w  # noqa: B023

            pen.polygon([at(0.2, 0), at(1, 0), at(1, 1), at(0.2, 1)], cloth, 0.82)
            for t in np.linspace(0.2, 1, 8):
                pen.line([at(t, 0), at(t, 1)], height * 0.007, frame)
            pen.line([at(0.2, 0.52), at(1, 0.52)], height * 0.006, frame)
            pen.line([at(0, 0), at(1.02, 0)], height * 0.018, frame)
        pen.ellipse(hub_x, hub_y, height * 0.026, height * 0.026, frame)


def tower(
    c: Canvas, pen: Pen, x0: float, x1: float, top: float, foot: float, wall: np.ndarray, lit: float, pane: float
) -> None:
    """A building with a grid of windows, ``lit`` of them alight."""
    rng = c.rng
    pen.box(x0, top, x1, foot, wall)
    pen.box(x1 - (x1 - x0) * 0.28, top, x1, foot, wall * 0.7)
    warm = [colour(1.0, 0.86, 0.50), colour(1.0, 0.72, 0.34), colour(0.80, 0.90, 1.0)]
    tone = warm[rng.integers(3)]
    y = top + pane
    while y < foot - pane:
        x = x0 + pane * 0.7
        while x < x1 - pane:
            on = rng.random() < lit
            pen.box(x, y, x + pane * 0.75, y + pane * 0.9, tone * rng.uniform(0.65, 1.05) if on else wall * 1.5)
            x += pane * 1.55
        y += pane * 1.9
    style = rng.random()
    middle = (x0 + x1) / 2
    if style < 0.25:
        pen.line([(middle, top), (middle, top - rng.uniform(0.05, 0.12))], 0.008, wall * 1.2)
        pen.ellipse(middle, top - 0.05, 0.006, 0.006, colour(1, 0.2, 0.15))
    elif style < 0.4:
        pen.polygon([(x0, top), (middle, top - (x1 - x0) * rng.uniform(0.5, 1.2)), (x1, top)], wall * 1.15)
    elif style < 0.6:
        pen.box(x0 + (x1 - x0) * 0.2, top - 0.035, x1 - (x1 - x0) * 0.2, top, wall)
