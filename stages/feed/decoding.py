"""Images decoded ahead of the model, by a few threads, a bounded number at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from activation_atlas.stages.vision.images import ImageError

T = TypeVar("T")


def decoded(
    data: Iterable[bytes | ImageError], decode: Callable[[bytes], T], ahead: int, threads: int
) -> Generator[T | ImageError, None, None]:
    """``decode`` of each item, in order; an :class:`ImageError` stands in an image's place.

    Reading and decoding run in the background while the caller works. At most
    ``ahead`` images are held, however many there are.

    Args:
        decode: may raise ImageError; must release the GIL to be worth a thread.
    """
    waiting: queue.Queue[Future[T | ImageError] | BaseException | None] = queue.Queue(maxsize=max(1, ahead))
    stopped = threading.Event()

    def one(item: bytes | ImageError) -> T | ImageError:
        if isinstance(item, ImageError):
            return item
        try:
            return decode(item)
        except ImageError as error:
            return error

    def put(item: Future[T | ImageError] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=0.1)
            except queue.Full:
                continue

    def feed() -> None:
        try:
            for item in data:
                if stopped.is_set():
                    return
                put(pool.submit(one, item))
            put(None)
        except BaseException as error:  # raised where the caller waits for the image
            put(error)

    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="decode") as pool:
        feeder = threading.Thread(target=feed, name="read", daemon=True)
        feeder.start()
        try:
            while (item := waiting.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item.result()
        finally:
            stopped.set()
            feeder.join()
