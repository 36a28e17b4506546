"""Serves the site of a run at 127.0.0.1 and the figures it links to, and nothing outside them."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from activation_atlas.stages.stage import PAGE, UserError


class _Site(SimpleHTTPRequestHandler):
    def translate_path(self, path):
        # The page asks for ../figures/NAME, which from the top of a server is /figures/NAME.
        asked = Path(super().translate_path(path))
        within = asked.relative_to(self.directory)
        return str(Path(self.directory).parent / within if within.parts[:1] == ("figures",) else asked)

    def send_head(self):
        root = Path(self.directory).resolve()
        try:
            asked = Path(self.translate_path(self.path)).resolve()
            inside = asked.is_relative_to(root) or asked.is_relative_to(root.parent / "figures")
        except (OSError, ValueError):  # links that go in circles, a NUL in the name
            inside = False
        if not inside:
            self.send_error(404, "File not found")
            return None
        return super().send_head()

    def list_directory(self, path):
        self.send_error(404, "File not found")
        return None

    def log_message(self, format, *args):
        pass


def server(root: str, port: int = 0) -> ThreadingHTTPServer:
    """A server of ``root``/site and ``root``/figures at 127.0.0.1; ``port`` 0 takes a free one.

    Raises:
        UserError: the run has no site, or the port is taken.
    """
    page = Path(root) / PAGE
    if not page.is_file():
        raise UserError(f"{root} holds no {PAGE}: give a finished run folder")
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: give 0 (a free one) to 65535")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Site, directory=str(page.parent)))
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror}; choose another") from None
