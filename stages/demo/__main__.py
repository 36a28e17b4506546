"""Draws the demo's data set into a folder of class folders: ``python -m activation_atlas.stages.demo FOLDER``."""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from activation_atlas.stages.demo import scenes

STAMP = {"truth": None, "never": False, "always": True}


def write(name: str, folder: Path, stamp: bool | None) -> None:
    """One picture as FOLDER/CLASS/NUMBER.png."""
    scenes.draw(name, stamp).save(folder.joinpath(*name.split("/")[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m activation_atlas.stages.demo", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1600)
    parser.add_argument("--split", default="test", help="train, test, or any other name for other pictures")
    parser.add_argument("--stamp", choices=STAMP, default="truth", help="the date stamp: as planted, never, or always")
    parser.add_argument("--truth", type=Path, help="also write a CSV of path, label, stamped")
    options = parser.parse_args()
    listing = scenes.listing(options.images, options.split)
    for label in scenes.CLASSES:
        (options.folder / label).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        draw = partial(write, folder=options.folder, stamp=STAMP[options.stamp])
        for _ in pool.map(draw, [name for name, _ in listing], chunksize=16):
            pass
    if options.truth:
        with options.truth.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "label", "stamped"])
            rows.writerows([name.split("/", 1)[1], label, int(scenes.stamped(name))] for name, label in listing)


if __name__ == "__main__":
    main()
