"""A web page on this machine that shows a stream of pictures (MJPEG over HTTP)."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

PORT = 8765
BOUNDARY = "frame"


class LivePage:
    """A web page on this machine that shows pictures while the block runs."""

    def __init__(self, port: int = PORT) -> None:
        self._new = threading.Condition()
        self._jpeg = b""
        for number in (port, 0):  # any free port if the first is in use
            try:
                self._server = ThreadingHTTPServer(("127.0.0.1", number), self._handler())
                break
            except OSError:
                continue
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def show(self, picture: np.ndarray) -> None:
        """Show a new picture, uint8 [H,W,3] RGB."""
        ok, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        assert ok
        with self._new:
            self._jpeg = data.tobytes()
            self._new.notify_all()

    def __enter__(self) -> LivePage:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _next(self) -> bytes:
        with self._new:
            self._new.wait(5)
            return self._jpeg

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            """Serves the page or the stream of pictures."""

            def do_GET(self) -> None:
                self.send_response(200)
                if self.path != "/stream":
                    self.send_header("Content-Type", "text/html")
                    self.end_headers()
                    self.wfile.write(b"<title>live</title><img src=stream>")
                    return
                kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
                self.send_header("Content-Type", kind)
                self.end_headers()
                try:
                    while jpeg := page._next():
                        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                        head += f"Content-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    return  # the browser has disconnected

            def log_message(self, format: str, *args: object) -> None:
                """Do not log requests."""

        return Handler
