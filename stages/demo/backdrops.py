"""What scenes share: hours of the day, skies, seas, hills, trees.

A backdrop takes the canvas and an hour and paints over it. Several classes use
each of them, which is what gives the demo's atlas its neighbourhoods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.demo.canvas import Canvas, blend, colour, ramp


@dataclass(frozen=True)
class Hour:
    """A time of day: three colours of the sky, the sun's, and the light that falls on things."""

    name: str
    top: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    sun: np.ndarray
    light: np.ndarray

    @property
    def dark(self) -> bool:
        return self.name in ("night", "dusk")


HOURS = {
    h.name: h
    for h in (
        Hour(
            "dawn",
            colour(0.34, 0.45, 0.70),
            colour(0.86, 0.62, 0.64),
            colour(1.0, 0.82, 0.60),
            colour(1, 0.86, 0.6),
            colour(0.98, 0.84, 0.78),
        ),
        Hour(
            "day",
            colour(0.13, 0.38, 0.78),
            colour(0.42, 0.67, 0.92),
            colour(0.82, 0.92, 0.97),
            colour(1, 0.97, 0.85),
            colour(1.0, 1.0, 0.97),
        ),
        Hour(
            "golden",
            colour(0.22, 0.38, 0.64),
            colour(0.80, 0.62, 0.46),
            colour(1.0, 0.76, 0.36),
            colour(1, 0.84, 0.45),
            colour(1.04, 0.84, 0.60),
        ),
        Hour(
            "dusk",
            colour(0.09, 0.10, 0.31),
            colour(0.46, 0.21, 0.46),
            colour(0.99, 0.47, 0.29),
            colour(1, 0.55, 0.3),
            colour(0.58, 0.46, 0.58),
        ),
        Hour(
            "night",
            colour(0.014, 0.025, 0.10),
            colour(0.045, 0.085, 0.24),
            colour(0.14, 0.22, 0.42),
            colour(0.9, 0.92, 0.85),
            colour(0.36, 0.43, 0.62),
        ),
        Hour(
            "grey",
            colour(0.46, 0.52, 0.59),
            colour(0.64, 0.69, 0.74),
            colour(0.82, 0.84, 0.85),
            colour(0.95, 0.95, 0.93),
            colour(0.82, 0.86, 0.90),
        ),
    )
}


def an_hour(c: Canvas, **odds: float) -> Hour:
    """One of the hours, with the given odds."""
    names = list(odds)
    weights = np.array([odds[n] for n in names])
    hour = HOURS[names[c.rng.choice(len(names), p=weights / weights.sum())]]
    shift = c.rng.normal(0, 0.03, (3, 3)).astype(np.float32)
    return Hour(
        hour.name,
        np.clip(hour.top + shift[0], 0, 1),
        np.clip(hour.middle + shift[1], 0, 1),
        np.clip(hour.low + shift[2], 0, 1),
        hour.sun,
        hour.light,
    )


def sky(c: Canvas, hour: Hour, horizon: float, clouds: float | None = None, disc: float = 0.5) -> tuple[float, float]:
    """Gradient, sun or moon (with odds ``disc``), clouds, stars. Returns the sun's place."""
    rng = c.rng
    t = np.clip(c.y / max(horizon, 0.05), 0, 1)
    bend = rng.uniform(0.45, 0.7)
    rgb = np.where(
        (t < bend)[..., None],
        blend(hour.top, hour.middle, (t / bend)[..., None]),
        blend(hour.middle, hour.low, ((t - bend) / (1 - bend))[..., None]),
    ).astype(np.float32)
    c.rgb[:] = rgb
    high = hour.name in ("day", "night")
    sx, sy = rng.uniform(0.12, 0.88), horizon * (rng.uniform(0.12, 0.5) if high else rng.uniform(0.55, 0.95))
    if hour.name == "night":
        stars(c, int(rng.uniform(25, 90)), below=horizon)
    if hour.name != "grey":
        c.light(c.glow(sx, sy, rng.uniform(0.3, 0.5)), hour.sun * (0.08 if hour.name == "night" else 0.22))
        if rng.random() < disc:
            radius = rng.uniform(0.03, 0.06)
            c.light(c.glow(sx, sy, radius * 2.6), hour.sun * 0.3)
            c.fill(c.disc(sx, sy, radius), hour.sun)
            if hour.name == "night":
                c.fill(c.disc(sx, sy, radius) * ramp(c.noise(18, octaves=2), 0.5, 0.75) * 0.35, hour.sun * 0.6)
    cover = rng.uniform(-0.25, 0.55) if clouds is None else clouds
    if cover > 0:
        n = c.noise(rng.uniform(2, 4), rng.uniform(6, 11), 5, 0.55)
        mask = ramp(n, 0.72 - 0.35 * cover, 0.95 - 0.25 * cover) * ramp(c.y, horizon, horizon * 0.75)
        lit = blend(hour.low, colour(1, 1, 1), 0.5 if hour.name in ("day", "grey", "dawn") else 0.08)
        under = blend(hour.middle, colour(0.35, 0.35, 0.42) * hour.light, 0.45)
        c.fill(mask * 0.85, blend(under, lit, ramp(np.roll(n, 9, 0) - n, 0.12, -0.06)[..., None]))
    return sx, sy


def stars(c: Canvas, number: int, below: float = 1.0) -> None:
    """Points of light, a few of them large."""
    rng = c.rng
    with c.pen() as pen:
        for _ in range(number):
            radius = 0.0016 + 0.0052 * rng.random() ** 5
            tint = blend(colour(0.75, 0.85, 1), colour(1, 0.9, 0.75), rng.random())
            pen.ellipse(rng.random(), rng.random() * below, radius, radius, tint, rng.uniform(0.45, 1))


def ground_plane(c: Canvas, horizon: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates on a plane that recedes to the horizon, and the mask of what lies below it: u, v, mask."""
    depth = 1 / (np.maximum(c.y - horizon, 0) + 0.035)
    return (c.x - 0.5) * depth, depth, np.clip((c.y - horizon) * c.size + 0.5, 0, 1)


def sea(c: Canvas, hour: Hour, horizon: float, sun: tuple[float, float]) -> None:
    """Water to the horizon, with waves in perspective and the sun's path."""
    u, v, mask = ground_plane(c, horizon)
    rng = c.rng
    deep = colour(0.04, 0.22, 0.36) if rng.random() < 0.6 else colour(0.04, 0.34, 0.40)
    t = ramp(c.y, horizon, 1.0)
    base = blend(blend(hour.low, hour.middle, 0.4), deep * (hour.light * 0.8 + 0.25), (0.35 + 0.6 * t)[..., None])
    size = rng.uniform(1.4, 2.6)
    waves = c.lattice(u * 3 * size, v * 7 * size, 3, horizon) - 0.5
    rough = rng.uniform(0.5, 1.3)
    rgb = base * (1 + rough * 0.9 * waves[..., None])
    crest = ramp(waves, 0.16, 0.34) * rough
    rgb = blend(rgb, blend(hour.low, colour(1, 1, 1), 0.45) * (hour.light * 0.5 + 0.5), (crest * 0.55)[..., None])
    path = np.exp(-(((c.x - sun[0]) / (0.04 + 0.22 * (c.y - horizon))) ** 2)) * ramp(waves, -0.12, 0.2)
    if hour.name != "grey":
        rgb = rgb + (path * (0.75 if hour.name != "day" else 0.4))[..., None] * hour.sun
    c.fill(mask, rgb)


def hills(
    c: Canvas, top: float, height: float, rgb: np.ndarray, cells: float = 2.5, rough: float = 0.3, texture: float = 0.25
) -> np.ndarray:
    """A ridge whose highest point is about ``top``; returns its mask."""
    line = top + height * (1 - c.ridge(cells, 5, rough))
    mask = np.clip((c.y - line[None]) * c.size, 0, 1)
    shade = 1 + texture * (c.noise(14, 22, 3) - 0.5)[..., None] * 2
    c.fill(mask, rgb * shade * (1.12 - 0.5 * np.clip(c.y - line[None], 0, 1))[..., None])
    return mask


def meadow(c: Canvas, hour: Hour, horizon: float, rgb: np.ndarray, uneven: float = 0.02) -> None:
    """Grass in perspective."""
    u, v, _ = ground_plane(c, horizon)
    line = horizon + uneven * (c.ridge(3) - 0.5)
    mask = np.clip((c.y - line[None]) * c.size, 0, 1)
    n = c.lattice(u * 14, v * 5, 3, horizon - uneven)
    blades = c.noise(60, 14, 2)
    near = ramp(c.y, horizon, 1.0)
    tone = 0.72 + 0.5 * n + 0.45 * (blades - 0.5) * near
    far = blend(rgb, hour.low, 0.35)
    c.fill(mask, blend(far, rgb, np.sqrt(near)[..., None]) * tone[..., None] * hour.light)


def conifer(c: Canvas, x: float, foot: float, height: float, rgb: np.ndarray, pen, light: float = 1.3) -> None:
    """A fir drawn in tiers, lit from one side."""
    rng = c.rng
    width = height * rng.uniform(0.19, 0.27)
    tiers = int(np.clip(height * 26, 4, 11))
    pen.box(x - width * 0.09, foot - height * 0.12, x + width * 0.09, foot, rgb * 0.55)
    for i in range(tiers):
        y = foot - height * 0.07 - (height * 0.93) * i / tiers
        half = width * (1 - i / tiers) ** 0.85 * rng.uniform(0.82, 1.12)
        up = height * 1.7 / tiers
        tone = rgb * (0.82 + 0.35 * i / tiers)
        droop = up * 0.16
        pen.polygon(
            [
                (x, y - up),
                (x + half, y + droop),
                (x + half * 0.45, y - droop * 0.3),
                (x, y + droop * 0.4),
                (x - half * 0.5, y - droop * 0.3),
                (x - half, y + droop),
            ],
            tone * 0.8,
        )
        pen.polygon(
            [(x, y - up), (x, y + droop * 0.2), (x - half * 0.5, y - droop * 0.4), (x - half, y + droop)], tone * light
        )


def conifers(c: Canvas, foot: float, height: float, rgb: np.ndarray, number: int, spread: float = 0.3) -> None:
    """A row of firs with feet about ``foot``."""
    with c.pen() as pen:
        for x in np.sort(c.rng.uniform(-0.05, 1.05, number))[c.rng.permutation(number)]:
            h = height * c.rng.uniform(1 - spread, 1 + spread)
            conifer(c, float(x), foot + c.rng.uniform(-0.02, 0.02), h, rgb * c.rng.uniform(0.85, 1.15), pen)


def mirror(c: Canvas, shore: float, rgb: np.ndarray, strength: float = 0.65) -> None:
    """Still water below ``shore``: what stands above it, upside down and rippled."""
    row = int(shore * c.size)
    below = c.size - row
    source = np.clip(row - 1 - np.arange(below), 0, c.size - 1)
    flipped = c.rgb[source]
    wave = (c.noise(3, 40, 2)[row:] - 0.5) * np.linspace(2, 26, below)[:, None]
    columns = np.clip(np.arange(c.size)[None] + wave.astype(np.int32), 0, c.size - 1)
    flipped = np.take_along_axis(flipped, np.broadcast_to(columns[..., None], flipped.shape), 1)
    ripple = 1 + 0.25 * (c.noise(4, 60, 2)[row:] - 0.5)[..., None]
    c.rgb[row:] = blend(rgb, flipped, strength) * ripple
