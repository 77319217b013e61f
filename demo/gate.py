"""What reaches Gradio: requests of a bounded size and number, which name no file of another host."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import Any

MOST_JSON = 1_000_000  # bytes: arguments are short, files are uploaded
REQUESTS_PER_UPLOAD = 12  # of the limit of requests, so many make room for one upload


class Budget:
    """Of each visitor, ``most`` in a minute. Visitors are forgotten a minute after their last request."""

    def __init__(self, most: float):
        self.most = most
        self._spent: dict[str, deque[tuple[float, float]]] = {}
        self._lock = threading.Lock()
        self._swept = 0.0

    def spend(self, visitor: str, cost: float = 1) -> bool:
        """Note a request; whether the visitor may make it."""
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
    """The address of a visitor. Behind a proxy it is the last that X-Forwarded-For names: the ones before it, and all
    of them without a proxy, are the visitor's own words.
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
    """ASGI middleware. ``most_bytes``: of an upload; ``most_requests``: of a visitor in a minute."""

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
                return await _refuse(send, 413, f"At most {self.most_bytes / 1e6:g} MB are taken.")
            if not self.uploads.spend(visitor_of(scope, self.behind_proxy)):
                return await _refuse(send, 429, f"At most {self.uploads.most} uploads a minute are taken.")
            return await self.app(scope, receive, send)
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MOST_JSON:
                return await _refuse(send, 413, "The arguments are too long: upload files.")
            if not message.get("more_body"):
                break
        if complaint := _complaint(body):
            return await _refuse(send, 400, complaint)
        await self.app(scope, _replay(body, receive), send)


def _complaint(body: bytes) -> str | None:
    """What is wrong with arguments: such as a file whose path is an address, which Gradio would download."""
    try:
        waiting = [json.loads(body)]
    except ValueError:
        return None
    except RecursionError:
        return "The arguments are nested too deeply."
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and "://" in path:
                return "Addresses are not fetched: upload the file."
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
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
