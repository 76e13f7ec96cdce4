# SPDX-License-Identifier: Apache-2.0
"""Whether, and by what, this machine can draw.

VTK ends the whole process when it finds no OpenGL at all, so the question is put to a child process
once, and its answer kept.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OVERRIDE = "VTK_DEFAULT_OPENGL_WINDOW"
_OFF_SCREEN = frozenset({"vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow"})
_SECONDS = 60.0
_MARK = "render window:"
_DRIVER = "OpenGL renderer string:"
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swr ", "software", "swiftshader")
_PROBE = f"""
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
window = vtkRenderWindow()
window.SetOffScreenRendering(1)
window.SetMultiSamples(0)
window.SetSize(16, 16)
window.AddRenderer(vtkRenderer())
window.Render()
print("{_MARK}", window.GetClassName(), flush=True)
print(*(n for n in window.ReportCapabilities().splitlines() if n.startswith("{_DRIVER}")))
"""


class DisplayError(OSError):
    """Nothing on this machine can draw what was asked for; the message says what to install."""


def render_window() -> str:
    """Name of the VTK render window that draws here, for example ``vtkEGLRenderWindow``.

    Returns an empty string where none does.
    """
    return _answer()[0]


def without_gpu() -> bool:
    """Whether the processor draws what OpenGL is asked for, as by Mesa's llvmpipe."""
    return any(name in _answer()[1].lower() for name in _SOFTWARE)


def _answer() -> tuple[str, str]:
    names = ("DISPLAY", _OVERRIDE, "__EGL_VENDOR_LIBRARY_DIRS", "LD_LIBRARY_PATH")
    return _probe(tuple(os.environ.get(name) for name in names))


@functools.cache
def _probe(environment: tuple[str | None, ...]) -> tuple[str, str]:
    """Draw in a child process: window and OpenGL's driver; `environment` only keys the cache."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", ""
    told = {_MARK: "", _DRIVER: ""}
    for line in child.stdout.splitlines() if child.returncode == 0 else ():
        for mark in told:
            if line.startswith(mark):
                told[mark] = line.removeprefix(mark).strip()
    return told[_MARK], told[_DRIVER]


def require_renderer() -> None:
    """Raise DisplayError unless pictures can be drawn off screen."""
    if not render_window():
        raise DisplayError(
            f"nothing can be drawn here: got {_display()} and neither EGL nor OSMesa, expected one "
            "of them; install one, on Debian and Ubuntu by `apt-get install libegl1 "
            "libgl1-mesa-dri` or `apt-get install libosmesa6`"
        )


def require_window() -> None:
    """Raise DisplayError unless a window can be opened."""
    require_renderer()
    if render_window() in _OFF_SCREEN:
        raise DisplayError(
            f"no window can be opened: got {_display()}, expected an X display with OpenGL; serve "
            "a page (--browser), write a movie or a screenshot (--movie, --screenshot), log in "
            "with `ssh -X`, or run under `xvfb-run` (`apt-get install xvfb libgl1-mesa-dri`)"
        )


def _display() -> str:
    display = os.environ.get("DISPLAY")
    return f"DISPLAY={display}, which has no OpenGL" if display else "no display"


@contextmanager
def chosen_window() -> Iterator[None]:
    """Have VTK take the window that the probe found at once, without trying the others aloud."""
    name = render_window()
    if not name or sys.platform != "linux" or os.environ.get(_OVERRIDE):
        yield
        return
    os.environ[_OVERRIDE] = name
    try:
        yield
    finally:
        del os.environ[_OVERRIDE]
