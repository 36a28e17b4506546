"""Artefacts planted in the training of small networks: does the audit find them without being told, and nothing else?

``python -m benchmarks planted --size cut|standard|full --out FOLDER`` on CIFAR-10, which ``ATLAS_DATA`` holds. What is
trained, audited and scored stays in the folder, and is not made again: who stops it goes on where it was. Without
``scores``, all is scored anew, and of the audits what has become stale is made again. How
correlation is meant is said in :mod:`benchmarks.planted.data`; what is counted, in :mod:`benchmarks.planted.scores`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.planted import summary
from benchmarks.planted.audits import ROOT, audited
from benchmarks.planted.data import audited_rows, cifar, whole
from benchmarks.planted.effects import Fresh
from benchmarks.planted.scored import scored
from benchmarks.planted.sizes import SIZES


def run(size: str = "standard", folder: Path = Path("runs/planted")) -> dict[str, Any]:
    """Trains, audits, scores and prints the table."""
    import keras

    data, folder = Path(os.environ.get("ATLAS_DATA") or ROOT.parent / "shared").resolve(), folder.resolve()
    if not (data / "data/cifar10").is_dir():
        raise SystemExit(f"planted: no data/cifar10 at {data}; set ATLAS_DATA to the folder that holds it")
    asked, began, found = SIZES[size], time.perf_counter(), []
    pixels, labels = cifar(data, folder, "test")
    cases = list(asked.cases())
    for k, case in enumerate(cases):
        kept = folder / "scores" / f"{asked.named(case)}.json"
        if not kept.exists():
            audit = audited(case, asked, data, folder)
            _, unseen = audited_rows(labels, asked.audited, case.seed)
            scores = scored(audit, Fresh(audit.network, pixels[unseen], labels[unseen], case))
            whole(kept, lambda to, scores=scores: to.write_text(json.dumps(scores), encoding="utf-8"))
            keras.backend.clear_session()
        found.append(json.loads(kept.read_text(encoding="utf-8")))
        minutes = (time.perf_counter() - began) / 60
        print(f"{k + 1}/{len(cases)} {case.name}: {_said(found[-1]['cues'])}; {minutes:.1f} min", flush=True)
    print()
    summary.printed(found)
    return {"size": size, "audits": found}


def _said(cues: dict[str, Any]) -> str:
    what = "first" if cues["first"] else "found" if cues["found"] else "for another class" if cues["alarm"] else "no"
    return f"artefact {what}, {cues['verified']} verified"
