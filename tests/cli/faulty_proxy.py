"""A real HTTP server before the real service that fails as networks do: busy, cut before, cut behind."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

__all__ = ["FaultyProxy", "faulty_proxy"]


@dataclass(slots=True)
class FaultyProxy:
    """Hands requests on to `target`. Each POST takes the next of `faults`, until there is none left.

    `busy`: 503 with Retry-After. `cut_before`: the connection ends, and the service heard nothing. `cut_behind`: the
    service has answered, and the answer gets lost. `fine`: handed on. `foreign`: a web server that knows of nothing.
    """

    target: str
    faults: list[str] = field(default_factory=list)
    url: str = ""
    handed_on_count: int = 0

    def next_fault(self) -> str:
        return self.faults.pop(0) if self.faults else "fine"


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """Yield a proxy that listens on a free port."""
    proxy = FaultyProxy(target)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._hand_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = proxy.next_fault()
            if fault == "busy":
                self._reply(503, b'{"code": "queue_full", "detail": "Busy."}', {"Retry-After": "7"})
            elif fault == "foreign":
                self._reply(502, b"<h1>Bad gateway</h1>", {})
            elif fault == "cut_before":
                self.close_connection = True
            elif fault == "cut_behind":
                self._ask(body)
                self.close_connection = True
            else:
                self._hand_on(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 So it is named there.
            pass

        def _ask(self, body: bytes) -> httpx.Response:
            passed_on = ("authorization", "content-type", "idempotency-key")
            headers = {name: value for name, value in self.headers.items() if name.lower() in passed_on}
            proxy.handed_on_count += 1
            return httpx.request(
                self.command, proxy.target + self.path, content=body, headers=headers, timeout=60
            )

        def _hand_on(self, body: bytes) -> None:
            answer = self._ask(body)
            self._reply(answer.status_code, answer.content, {"Content-Type": answer.headers["content-type"]})

        def _reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
