"""A server on the loopback interface, which answers only this machine."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import socketserver
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from kft.errors import KftError
from kft.local_server.asking import Asked
from kft.local_server.page import page, policy
from kft.local_server.port import ADDRESS, hold, unusable

if TYPE_CHECKING:
    from kft.recipe.recipe import Recipe

__all__ = ["LocalServer"]

_OWN_NAMES = (ADDRESS, "localhost")
_METHODS = {"/": "GET", "/answer": "POST"}  # the only one of each place
_MOST_BYTES = 2**26  # of a request
_PATIENCE = 30.0  # seconds that a connection may be silent
_LONGEST = 300.0  # seconds until a request has to be there, however it trickles
_LINGER = 1.0  # the same after a request is refused
_CHUNK = 2**16
_MOST_CONNECTIONS = 32  # at once, so that requests together take at most 2 GiB
_NO_FORM = (
    "the request is a form, as curl -F sends it: send the content of the file or the text itself, such as "
    "by curl --data-binary @a.jpg."
)
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class LocalServer(socketserver.ThreadingTCPServer):
    """Serve a page for trying a recipe, and `POST /answer` for programs.

    ```python
    with LocalServer(kft.load("runs/photos"), "photos") as server:
        print(server.url)
        server.serve_forever()
    ```

    It listens only on 127.0.0.1, and answers only requests to 127.0.0.1 or localhost that come from
    its own page or a program: other sites that are open in the same browser get no answer.

    It listens from when the recipe has answered an example, so that the first answer is as fast as others.

    Args:
        recipe: A trained recipe.
        name: The title of the page.
        port: The port, or a socket that holds it, from `kft.local_server.port.hold`. Defaults to 0, any
            free one.

    Raises:
        InputError: If the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, recipe: Recipe, name: str, port: int | socket.socket = 0) -> None:
        self.asked, self.name = Asked(recipe), name
        self._free = threading.Semaphore(_MOST_CONNECTIONS)
        bound = hold(port) if isinstance(port, int) else port
        super().__init__(bound.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()  # its own, which is not bound
        self.socket = bound
        try:
            self.asked.warm_up()
            self._listen()
        except BaseException:
            self.server_close()
            raise

    def _listen(self) -> None:
        try:
            self.server_activate()
        except OSError as error:  # another program listens there by now
            raise unusable(self.server_address[1], error) from error

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in its own thread, unless there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection, in its thread."""
        ending = threading.Timer(_LONGEST, _stop_reading, [request])
        ending.daemon = True
        ending.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            ending.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of an error, except that of a client that has gone away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_address[1]}/"


def _stop_reading(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have been closed
        connection.shutdown(socket.SHUT_RD)


class _Handler(BaseHTTPRequestHandler):
    """The handler of one connection."""

    server: LocalServer
    timeout = _PATIENCE
    server_version, sys_version = "kft", ""

    def do_GET(self) -> None:
        """Send the page."""
        if not self._is_expected("GET"):
            return
        nonce = secrets.token_urlsafe()
        html = page(self.server.asked, self.server.name, nonce).encode()
        self._reply(200, html, "text/html; charset=utf-8", policy(nonce))

    def do_POST(self) -> None:
        """Answer a request with a file or a text."""
        if not self._is_expected("POST"):
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(411, "the request has no Content-Length.")
        elif self.headers.get_content_maintype() == "multipart":
            self._refuse(415, _NO_FORM)
        elif int(length[:20]) > _MOST_BYTES:
            self._refuse(413, f"the request is too large: send at most {_MOST_BYTES:,} bytes.")
        else:
            self._send(*self._answer(self.rfile.read(int(length)), int(length)))

    def _answer(self, body: bytes, length: int) -> tuple[int, dict[str, Any]]:
        if not length:
            return 400, {"error": "the request is empty: send a file or a text."}
        if len(body) < length:
            return 400, {"error": f"the request ended after {len(body):,} of {length:,} bytes."}
        try:
            return 200, self.server.asked.answer(body)
        except KftError as error:
            return 400, {"error": str(error)}
        except Exception as error:  # the server goes on with other requests
            traceback.print_exc()
            return 500, {"error": f"{type(error).__name__}: {error}"}

    def _is_expected(self, method: str) -> bool:
        """Refuse a request from elsewhere, of another place, or with the other method."""
        place = self.path.partition("?")[0]
        if not self._is_from_here():
            return False
        if place not in _METHODS:
            self._refuse(
                404, f"{self.path} is not here: the page is at /, and takes inputs at /answer."
            )
        elif method != _METHODS[place]:
            hint = "inputs are sent by POST, such as by curl --data-binary @a.jpg"
            if method == "POST":
                hint = "the page is read by GET, and inputs are sent to /answer"
            self._refuse(405, f"{hint}.", Allow=_METHODS[place])
        else:
            return True
        return False

    def _is_from_here(self) -> bool:
        """Refuse a request that another site made the browser send, by its host and origin."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        if host.rpartition(":")[0] in _OWN_NAMES and origin in (None, f"http://{host}"):
            return True
        self._refuse(403, f"this server answers only requests to {self.server.url}.")
        return False

    def _refuse(self, status: int, error: str, **headers: str) -> None:
        """Send an error without using the body, which the client may still be sending."""
        self._send(status, {"error": error}, **headers)
        self.connection.settimeout(_LINGER)
        left = 4 * _MOST_BYTES
        with contextlib.suppress(OSError):  # closing with unread bytes would discard the reply
            while left > 0 and (chunk := self.rfile.read1(_CHUNK)):
                left -= len(chunk)

    def _send(self, status: int, reply: dict[str, Any], **headers: str) -> None:
        content = json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace")
        self._reply(status, content, "application/json", "default-src 'none'", **headers)

    def _reply(self, status: int, content: bytes, kind: str, allowed: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", allowed)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
