# SPDX-License-Identifier: Apache-2.0
"""A window of X that others may take away: a window manager, xkill, a server that ends.

By default Xlib then ends the process in the middle of whatever it draws, with exit code 1. While a
window is held, one that is destroyed is noticed, so that who shows it can close. With a connection
that is lost no call of Xlib may return; what is to be finished is finished, and the process ends.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

_LIBRARY = "libX11.so.6"
_ON_ERROR = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_ON_LOSS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_NAMES = ("XSetErrorHandler", "XSetIOErrorHandler")


class HeldWindow:
    """Notes whether X still has a window; elsewhere than on X it always has.

    Args:
        window: of VTK, already on the screen.
        finish: called where the connection to X is lost, before the process ends with exit code 0.
    """

    def __init__(self, window: Any, finish: Callable[[], None] | None = None) -> None:
        self._gone, self._finish = False, finish
        self._library: Any = None
        if sys.platform != "linux" or window.GetClassName() != "vtkXOpenGLRenderWindow":
            return
        self._library = ctypes.CDLL(_LIBRARY)
        self._display, self._id = (
            ctypes.c_void_p(_address(word))
            for word in (window.GetGenericDisplayId(), window.GetGenericWindowId())
        )
        self._own = (_ON_ERROR(self._note), _ON_LOSS(self._end))

    def __enter__(self) -> Self:
        if self._library is not None:
            self._before = self._answer(*self._own)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._library is not None:
            self._answer(*self._before)

    def gone(self) -> bool:
        """Whether it has been destroyed, as X says when asked: to be known before one draws."""
        if self._library is not None and not self._gone:
            found = [ctypes.c_ulong() for _ in range(7)]
            self._library.XGetGeometry(
                self._display, self._id, *(ctypes.byref(one) for one in found)
            )
        return self._gone

    def _answer(self, *handlers: Any) -> list[Any]:
        """Have Xlib call these when it meets an error, or loses X; returns those before."""
        before = []
        for name, handler in zip(_NAMES, handlers, strict=True):
            call = getattr(self._library, name)
            call.restype = ctypes.c_void_p
            before.append(ctypes.c_void_p(call(handler)))
        return before

    def _note(self, *_: Any) -> int:
        self._gone = True
        return 0

    def _end(self, _: Any) -> int:
        """End the process, as Xlib would, with all that is held in memory written."""
        code = 0
        try:
            if self._finish is not None:
                self._finish()
            print("the window is gone with its display: the viewer ends", file=sys.stderr)
        except Exception as error:
            code = 1
            print(f"the display is gone, and what was open is not whole: {error}", file=sys.stderr)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _address(word: str) -> int:
    """Of what VTK hands out as ``_0123abcd_p_void``."""
    return int(word.split("_")[1], 16)
