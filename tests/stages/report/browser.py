"""A page opened in a browser."""

import subprocess
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def opened(browser: str, folder: Path, page: Path, fragment: str) -> tuple[str, str]:
    """The document as it stands after the scripts have run, and what they said on the console."""
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    options += " --disable-component-update --disable-sync --window-size=1400,1600"
    options += " --virtual-time-budget=4000 --enable-logging=stderr"
    command = [browser, *options.split(), f"--user-data-dir={folder}", "--dump-dom", f"{page.as_uri()}#{fragment}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def written(files: dict[str, bytes], folder: Path) -> Path:
    """The files of a report in a folder; its ``site``."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "site"
