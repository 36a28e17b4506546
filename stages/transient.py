"""Errors that pass by themselves, and trying again after a while. A leaf."""

from __future__ import annotations

import errno
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

WAITS = (0.5, 2.0, 8.0)
"""Seconds before each further try, at most; by chance down to half, so that many workers do not come back at once."""

_ERRNOS = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EINTR", "EBUSY", "ETIMEDOUT", "EPIPE", "ECONNRESET", "ECONNABORTED", "ECONNREFUSED"),
        *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH"),
    )
} | {socket.EAI_AGAIN}
_STATUSES = {408, 425, 429, 500, 502, 503, 504}
# Of libraries that a source may use, by name, for none of them is needed: aiohttp, requests, botocore.
_NAMES = {"ClientConnectionError", "ClientPayloadError", "ConnectionError", "Timeout", "HTTPClientError"}


def transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later: a busy or unreachable server, a connection that broke off.

    Not what is missing, forbidden or wrong, and nothing that is unknown. A name that no server has is wrong; that no
    name server answers may pass.
    """
    if isinstance(error, (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)):
        return False
    response = getattr(error, "response", None)
    for holder, name in ((error, "status"), (error, "code"), (response, "status_code")):
        status = getattr(holder, name, None)
        if isinstance(status, int) and status:
            return status in _STATUSES
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _ERRNOS
    return isinstance(error, TimeoutError) or bool(_NAMES & {kind.__name__ for kind in type(error).__mro__})


def tries() -> Iterator[bool]:
    """One item for each try, whether it is the last; waits before all but the first."""
    for wait in (0.0, *WAITS):
        time.sleep(wait * random.uniform(0.5, 1.0))
        yield wait == WAITS[-1]


def patiently(call: Callable[..., T], *arguments: Any) -> T:
    """What ``call`` gives, tried again where an error is :func:`transient`; the last one is raised."""
    for last in tries():
        try:
            return call(*arguments)
        except Exception as error:
            if last or not transient(error):
                raise
    raise AssertionError("there is a last try")
