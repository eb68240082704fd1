"""What a browser talks to: the page, its pictures, and one way to change a veto.

It answers on 127.0.0.1 only, and only below a path with a secret that is drawn at each start, so neither other users of the machine nor
other pages in the browser come in. Names of the address that are not this machine's own are refused, so that no foreign name can be
pointed here. Nothing of an address becomes a path: pictures are named by row numbers, and there are two other files.
"""

import hmac
import json
import re
import secrets
import socketserver
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from penumbra.errors import PenumbraError
from penumbra.review import asked, page
from penumbra.review.candidates import Candidates
from penumbra.review.reviewed import Reviewed

ADDRESS = "127.0.0.1"
OWN = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]+)?")  # any port: it may be forwarded from another machine
STATIC = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
MOST = 2**14  # bytes of a change
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address has the secret in it
    "X-Content-Type-Options": "nosniff",
}


class Refused(Exception):
    """An answer other than what was asked for: a status and a line for a person."""

    def __init__(self, status: HTTPStatus, line: str):
        super().__init__(line)
        self.status = status


class Server(ThreadingHTTPServer):
    """Serves what is reviewed until it is closed.

    Args:
        reviewed: candidates and vetoes.
        port: 0 for a free one.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True
    request_queue_size = 64  # a browser opens several connections, and a busy machine is slow to take them

    def __init__(self, reviewed: Reviewed, port: int = 0):
        self.reviewed = reviewed
        self.secret = secrets.token_urlsafe(18)
        super().__init__((ADDRESS, port), Handler)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.secret}/"

    def server_bind(self) -> None:
        """Bind without asking the network for a name of this machine."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser may leave before it has everything."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    timeout = 60  # seconds in which it must have come
    server_version, sys_version = "penumbra", ""

    def do_GET(self) -> None:
        """The page, one of its two files, or a picture."""
        try:
            self._send(HTTPStatus.OK, *self._got())
        except Refused as error:
            self._send(error.status, "text/plain; charset=utf-8", f"{error}\n".encode())

    def do_POST(self) -> None:
        """A change of a veto: {"sample_id": ..., "vetoed": true or false, "reason": ...} -> {"vetoed": how many there are}."""
        try:
            self._send(HTTPStatus.OK, "application/json", json.dumps({"vetoed": self._changed()}).encode())
        except Refused as error:
            self._send(error.status, "application/json", json.dumps({"error": str(error)}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Not a line for each picture."""

    def _got(self) -> tuple[str, bytes]:
        place, query = self._place()
        if place in STATIC:
            return STATIC[place], (page.HERE / place).read_bytes()
        try:
            candidates, ledger = self.server.reviewed.now()
            if place == "":
                return "text/html; charset=utf-8", page.render(candidates, ledger, asked.parse(query)).encode()
            found = re.fullmatch(r"(candidate|source)/([0-9]{1,12})", place)
            image = _picture(candidates, found[1], int(found[2])) if found else None
        except (PenumbraError, OSError) as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from error
        if image is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such page.")
        return "image/jpeg" if image.startswith(b"\xff\xd8") else "image/png", image

    def _changed(self) -> int:
        """Do what is asked; returns how many vetoes there are."""
        body = self._body()  # first: who writes on would not read the answer
        if self._place()[0] != "veto":
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such page.")
        if self.headers.get("Origin", self._own) != self._own or self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.FORBIDDEN, "Only the page of this server may change vetoes.")
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        kinds = {"sample_id": str, "vetoed": bool, "reason": str}
        if not isinstance(given, dict) or {key: type(value) for key, value in given.items()} != kinds:
            raise Refused(HTTPStatus.BAD_REQUEST, "A change is JSON with sample_id, vetoed and reason.")
        try:
            return self.server.reviewed.now()[1].put(**given)
        except PenumbraError as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from error

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        size = int(length) if length.isdecimal() and len(length) < 10 else 2 * MOST
        body = self.rfile.read(min(size, 2 * MOST))
        if size > MOST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A change has at most {MOST} bytes.")
        return body

    @property
    def _own(self) -> str:
        return f"http://{self.headers.get('Host', '')}"

    def _place(self) -> tuple[str, str]:
        """What is asked for below the secret path, and the part after the question mark."""
        if not OWN.fullmatch(self.headers.get("Host", "")):
            raise Refused(HTTPStatus.FORBIDDEN, "This page has another address.")
        path, _, query = self.path.partition("?")
        _, secret, *rest = [*path.split("/", 2), ""]
        if not hmac.compare_digest(secret.encode(), self.server.secret.encode()) or len(rest) < 2:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such page. The address that `penumbra review` prints ends with a slash.")
        return rest[0], query

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _picture(candidates: Candidates, kind: str, row: int) -> bytes | None:
    """A candidate or its source, encoded; None if there is none."""
    if row >= len(candidates.frame):
        return None
    return candidates.picture(row) if kind == "candidate" else candidates.source(row)
