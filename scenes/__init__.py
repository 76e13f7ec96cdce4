# SPDX-License-Identifier: Apache-2.0
"""Scene scripts and the command line.

A scene is one file with three functions, found by walking this folder:

- ``build(law=None, *, ...) -> Scene``: its keyword parameters become options of the command line;
- ``solver() -> Solver``: numerical choices with which it runs in seconds;
- ``check(trajectory, *, ...) -> None``: raises AssertionError with a sentence where the motion is
  not what physics or the literature says. It may take some of build's parameters by name.

``rheograd run my_scene.py`` does the same with a file of one's own.
"""
