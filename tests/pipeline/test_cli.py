"""The command line: outcomes become exit statuses and one line."""

import signal
import sys

import pytest

from activation_atlas.pipeline import commands
from activation_atlas.pipeline.cli import main


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "load", interrupted)
    monkeypatch.setattr(sys, "argv", ["activation-atlas", "plan", "config.yaml"])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stopped:
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "interrupted: run the same command again to go on\n"
