"""``python -m benchmarks NAME [--json FILE]``: each figure beside the limit taken in the same run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module
from pathlib import Path

NAMES = (
    "extract",
    "growth",
    "kills",
    "look",
    "attribution",
    "classview",
    "maps",
    "planted",
    "render",
    "reduce",
    "repair",
    "run",
    "slices",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--rows", nargs="+", default=[], metavar="GROUP", help="of maps: these groups of rows alone")
    parser.add_argument("--size", choices=("cut", "standard", "full"), help="of planted: how much (standard)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="of planted: what is made stays here (runs/planted)")
    chosen = parser.parse_args()
    if chosen.rows and chosen.name != "maps":
        parser.error(f"--rows goes with maps; {chosen.name} is run as a whole")
    if (chosen.size or chosen.out) and chosen.name != "planted":
        parser.error(f"--size and --out go with planted; {chosen.name} has one size")
    asked = {"rows": chosen.rows, "size": chosen.size, "folder": chosen.out}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    figures = import_module(f"benchmarks.{chosen.name}").run(**{k: v for k, v in asked.items() if v})
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
