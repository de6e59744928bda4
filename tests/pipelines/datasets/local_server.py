"""A small HTTP server on this machine that can misbehave in the ways that servers do."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """`cuts` are numbers of bytes: one request after another gets so many and then a closed connection."""

    content: bytes
    ranges: bool = True
    status: int = 200
    cuts: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    path: str
    range: str | None
    sent_bytes: int
    authorization: str | None = None


class LocalServer:
    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Request] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        served = self.files.get(handler.path.lstrip("/"))
        secret = handler.headers.get("Authorization")
        if served is None or served.status != 200:
            self.requests.append(Request(handler.path, asked, 0, secret))
            handler.send_error(served.status if served else 404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and served.ranges else 0
        if asked and served.ranges and start >= len(served.content):
            self.requests.append(Request(handler.path, asked, 0))
            handler.send_error(416)
            return
        body = served.content[start:]
        sent = body[: served.cuts.pop(0)] if served.cuts else body
        self.requests.append(Request(handler.path, asked, len(sent), secret))
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body)))
        if start:
            size = len(served.content)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        handler.end_headers()
        with contextlib.suppress(ConnectionError):  # the client has seen enough
            handler.wfile.write(sent)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
