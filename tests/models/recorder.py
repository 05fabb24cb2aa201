"""A server on loopback that keeps every request and gives the answers that it was told to give."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

__all__ = ["Answer", "Recorder", "Request", "recording"]


class Request(NamedTuple):
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Answer(NamedTuple):
    """What the server is to give: the body after a delay; `breaks_off` closes the connection without one."""

    body: Any = None
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    breaks_off: bool = False


class Recorder:
    """The requests in their order, and the answers to come.

    Answers are given in turn; the last one is given again and again. A function gets the request and gives an answer.
    """

    def __init__(self, url: str):
        self.url = url
        self.requests: list[Request] = []
        self.answers: deque[Any] = deque()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def answer(self, *answers: Any) -> None:
        """Set what is to be answered from here on."""
        self.answers.clear()
        self.answers.extend(answers)

    def bodies(self) -> list[Any]:
        """Give the bodies of the requests so far, and forget them."""
        bodies = [request.body for request in self.requests]
        self.requests.clear()
        return bodies

    def take(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(request)
        time.sleep(answer.delay)
        with self._lock:
            self._at_once -= 1
        return answer


@contextmanager
def recording() -> Iterator[Recorder]:
    """Run a recorder while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("transfer-encoding") == "chunked":
                text = b""
                while size := int(self.rfile.readline(), 16):
                    text += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, json.loads(text) if text else None)
            answer = recorder.take(request)
            if answer.breaks_off:
                self.close_connection = True
                self.connection.close()
                return
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            try:
                self.send_response(answer.status)
                self.send_header("content-type", answer.content_type)
                self.send_header("content-length", str(len(body)))
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client stopped waiting, as some tests want it

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a connection that a test broke off

    server = Server(("127.0.0.1", 0), Handler)
    recorder = Recorder(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
