"""Fifty kills of a small run at random instants: does it end with the same bytes, and how much is done twice?

The command runs in children of one warm process, which has TensorFlow already, and is killed with all it has started.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

KILLS, MOST = 50, 4.0
"""Kills, and seconds after which one falls at the latest."""


def run(kills: int = KILLS) -> dict[str, Any]:
    """Kills, whether all files of a run are the same bytes but for its records, and shards that were done twice."""
    import tensorflow  # noqa: F401 - the children find it there; nothing of it runs here

    from activation_atlas.pipeline.store import LOG, Store
    from tests.small import write_config, write_images

    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = write_config(folder)
        write_images(folder / "more", per_class=60)
        words = ["run", str(config), "--quiet", "--set", "images.path=more", "--out"]
        started = time.perf_counter()
        assert _ended([*words, str(folder / "whole")], None) == 0
        seconds = time.perf_counter() - started
        fell, repeated, runs, same = 0, 0, 0, True
        while fell < kills:
            out, before = folder / f"run{runs}", fell
            while _ended([*words, str(out)], chance.uniform(0, MOST) if fell < kills else None) != 0:
                fell += 1
            done = Counter((e["stage"], e["label"], e["shard"]) for e in Store(out).lines(LOG) if "shard" in e)
            repeated += sum(done.values()) - len(done)
            same = same and _bytes(out) == _bytes(folder / "whole")
            runs += 1
            print(f"run {runs}: {fell - before} kills, {len(done)} pieces of work", flush=True)
        found = {"kills": fell, "runs": runs, "seconds": seconds, "repeated": repeated, "same": same}
        print(f"{fell} kills over {runs} runs of {seconds:.1f} s: ", end="")
        print(f"{'the same bytes' if same else 'OTHER BYTES'}, {repeated} pieces done twice (at most {fell})")
    return found


def _ended(words: list[str], after: float | None) -> int:
    """Exit status of the command, or -9 where it was killed after so many seconds."""
    process = os.fork()
    if not process:
        from activation_atlas.pipeline import cli

        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["activation-atlas", *words]
        try:
            cli.main()
        except SystemExit as left:
            os._exit(left.code if isinstance(left.code, int) else 0)
        os._exit(1)
    limit = None if after is None else time.perf_counter() + after
    while True:
        own, status = os.waitpid(process, os.WNOHANG)
        if own:
            return os.waitstatus_to_exitcode(status)
        if limit is not None and time.perf_counter() > limit:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return -signal.SIGKILL
        time.sleep(0.01)


def _bytes(root: Path) -> dict[str, str]:
    """SHA-256 of all that a stage wrote; what tells of times is left out."""
    told = {".json", ".jsonl", ".lock"}
    paths = [p for p in root.rglob("*") if p.is_file() and p.suffix not in told and "cache" not in p.parts]
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
