"""Limits before Gradio: the size and number of requests, and no file of another host."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import Any

MOST_JSON = 1_000_000  # bytes: arguments are short, files are uploaded
REQUESTS_PER_UPLOAD = 12  # uploads per minute: the limit of requests divided by this


class Budget:
    """At most ``most`` per visitor and minute. Visitors are forgotten a minute after their last request."""

    def __init__(self, most: float):
        self.most = most
        self._spent: dict[str, deque[tuple[float, float]]] = {}
        self._lock = threading.Lock()
        self._swept = 0.0

    def spend(self, visitor: str, cost: float = 1) -> bool:
        """Record a request; return False if it exceeds the visitor's budget."""
        now = time.monotonic()
        with self._lock:
            if now - self._swept > 60:
                self._swept = now
                self._spent = {v: times for v, times in self._spent.items() if times[-1][0] > now - 60}
            times = self._spent.get(visitor, deque())
            while times and times[0][0] <= now - 60:
                times.popleft()
            if sum(spent for _, spent in times) + cost > self.most:
                return False
            times.append((now, cost))
            self._spent[visitor] = times
            return True


def visitor_of(scope_or_request: Any, behind_proxy: bool) -> str:
    """The address of a visitor. Behind a proxy it is the last one in X-Forwarded-For: the visitor controls those before
    it, and all of them without a proxy.
    """
    if isinstance(scope_or_request, dict):
        host = (scope_or_request.get("client") or ("", 0))[0]
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope_or_request["headers"]}
    else:
        host = scope_or_request.client.host if scope_or_request.client else ""
        headers = scope_or_request.headers
    forwarded = headers.get("x-forwarded-for", "").split(",")[-1].strip()
    return forwarded if behind_proxy and forwarded else host


class Gate:
    """ASGI middleware. ``most_bytes``: limit of an upload; ``most_requests``: limit per visitor and minute."""

    def __init__(self, app: Any, most_bytes: int, most_requests: int, behind_proxy: bool):
        self.app, self.most_bytes, self.behind_proxy = app, most_bytes, behind_proxy
        self.uploads = Budget(max(most_requests // REQUESTS_PER_UPLOAD, 1))

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"")
        size = int(length) if length.isdigit() else None
        if "/upload" in scope["path"]:
            if size is None or size > 1.05 * self.most_bytes + 10_000:  # the form around the file
                return await _refuse(send, 413, f"At most {self.most_bytes / 1e6:g} MB are accepted.")
            if not self.uploads.spend(visitor_of(scope, self.behind_proxy)):
                return await _refuse(send, 429, f"At most {self.uploads.most} uploads a minute are accepted.")
            return await self.app(scope, receive, send)
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MOST_JSON:
                return await _refuse(send, 413, "The arguments are too long: upload files.")
            if not message.get("more_body"):
                break
        if fault := _fault(body):
            return await _refuse(send, 400, fault)
        await self.app(scope, _replay(body, receive), send)


def _fault(body: bytes) -> str | None:
    """Describe a fault of the arguments, such as a file whose path is a URL, which Gradio would download."""
    try:
        pending = [json.loads(body)]
    except ValueError:
        return None
    except RecursionError:
        return "The arguments are nested too deeply."
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and "://" in path:
                return "URLs are not fetched: upload the file."
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return None


def _replay(body: bytes, receive: Any) -> Any:
    sent = False

    async def again() -> dict:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(send: Any, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": sentence}).encode()})
