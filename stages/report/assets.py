"""What lies beside a page, or inside it: pictures and scripts by name."""

from __future__ import annotations

import base64

TYPES = {"webp": "image/webp", "js": "text/javascript"}


class Assets:
    """Files beside the page, or, where all are small, data inside it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, name: str, content: bytes) -> str:
        """Its name, to be resolved by :meth:`links`."""
        self.files[name] = content
        return name

    def links(self, most: int) -> dict[str, str]:
        """name -> what to put into ``src``: data URIs if all are at most ``most`` bytes, else paths."""
        if sum(map(len, self.files.values())) > most:
            return {name: f"assets/{name}" for name in self.files}
        links = {
            name: f"data:{TYPES[name.rsplit('.', 1)[-1]]};base64,{base64.b64encode(content).decode('ascii')}"
            for name, content in self.files.items()
        }
        self.files = {}
        return links
