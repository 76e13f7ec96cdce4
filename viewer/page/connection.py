# SPDX-License-Identifier: Apache-2.0
"""How a page is reached: its key, its address, and what is said where it cannot be served."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def arguments() -> Iterator[None]:
    """Have trame take its options from here, not from the command line of this program."""
    before = os.environ.get("TRAME_ARGS")
    os.environ["TRAME_ARGS"] = "--no-ws-compress"  # pictures are compressed already
    try:
        yield
    finally:
        if before is None:
            del os.environ["TRAME_ARGS"]
        else:
            os.environ["TRAME_ARGS"] = before


def untold(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of a page that leaves while something is sent to it."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


def refuse(serving: asyncio.Future, host: str, port: int) -> None:
    """Raise why it is not served."""
    try:
        serving.result()
    except OSError as error:
        reason = (error.strerror or str(error)).rpartition(": ")[2]
        raise OSError(
            f"nothing can be served at port {port} of {host}: got {reason!r}, expected a port that "
            "is free and a name or address of this machine; choose others (--port, --host), or "
            "port 0 for any that is free"
        ) from error


def locked(key: str) -> Any:
    """What lets only those in who came with the key once; a cookie remembers them."""
    from aiohttp import web

    @web.middleware
    async def admit(request: Any, handler: Callable) -> Any:
        name = f"rheograd-{request.url.port}"  # the ports of a host share their cookies
        if secrets.compare_digest(request.cookies.get(name, ""), key):
            return await handler(request)
        if secrets.compare_digest(request.query.get("key", ""), key):
            answer = web.Response(status=302, headers={"Location": "/"})
            answer.set_cookie(name, key, httponly=True, samesite="Lax")
            return answer
        return web.Response(
            status=403, text="Open the whole address that rheograd printed, with its key.\n"
        )

    return admit


def reached(host: str) -> str:
    """The name by which a browser reaches what listens at a host."""
    if host in ("", "0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def open_page(url: str) -> None:
    """Open a page in a browser of this machine if it has a display."""
    if os.name == "posix" and os.uname().sysname == "Linux":
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
