"""``run.webhook``: what is new or worse than in the run before, posted as JSON."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 10.0
"""Seconds to wait for an answer."""
PAUSE = 2.0
"""Seconds before the one attempt that comes after a failure that may pass."""
_TOLD = ("name", "version", "started", "ended", "status", "images", "rejected", "measures", "worse")


def body(line: Mapping[str, Any]) -> dict[str, Any]:
    """What is posted of a line of the history: no path of this machine, nothing of the configuration.

    ``text`` is what Slack, Mattermost and others show.
    """
    count = len(line["worse"])
    head = f"{line['name']}: {count} {'finding is' if count == 1 else 'findings are'} new or worse"
    return {"text": "\n".join([head, *(f"- {one['text']}" for one in line["worse"])]), **{k: line[k] for k in _TOLD}}


def post(url: str, line: Mapping[str, Any]) -> str | None:
    """Posts it; one more attempt where the failure may pass. Redirections are not followed.

    Returns:
        Why it was not taken, without the URL, which may be a secret; None where it was.
    """
    data = json.dumps(body(line), ensure_ascii=False).encode()
    why: str | None = None
    for attempt in range(2):
        if attempt:
            time.sleep(PAUSE)
        why, passing = _attempt(url, data)
        if why is None or not passing:
            break
    return why


def named(url: str) -> str:
    """What may be said of a URL: its host."""
    try:
        return urlsplit(url).hostname or "the host"
    except ValueError:
        return "the host"


class _Straight(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: a POST that is sent elsewhere would arrive as a GET, without what it said."""


def _attempt(url: str, data: bytes) -> tuple[str | None, bool]:
    """Why it was not taken, and whether that may pass."""
    try:
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method="POST")
        with urllib.request.build_opener(_Straight).open(request, timeout=TIMEOUT):
            return None, False
    except urllib.error.HTTPError as error:
        error.close()
        return f"status {error.code}", error.code >= 500 or error.code == 429
    except TimeoutError:
        return f"no answer within {TIMEOUT:g} s", True
    except OSError as error:
        reason = getattr(error, "reason", error)
        return " ".join(str(getattr(reason, "strerror", None) or type(reason).__name__).split()), True
    except Exception as error:  # of URLs that are none, whose messages repeat them
        return type(error).__name__, False
