# SPDX-License-Identifier: Apache-2.0
"""Scene scripts and the command line.

A scene is one file with three functions, found by walking this folder:

- ``build(law=None, *, ...) -> Scene``: its keyword parameters become options of the command line;
- ``solver(*, ...) -> Solver``: numerical choices with which it runs in seconds; its parameters
  become options too. A second kind is ``fe_solver`` or ``mpm_solver``, chosen by ``--solver``;
- ``check(trajectory, *, ...) -> None``: raises AssertionError with a sentence where the motion is
  not what physics or the literature says. It may take some of build's parameters by name.

Two more are optional:

- ``results(trajectory, *, ...) -> dict``: quantities by name, which go into the summary of a run;
  ``--gradient`` takes derivatives of the first of them;
- ``VARY``: what ``rheograd dataset`` may vary, a table of groups of options with the range of each,
  such as ``{"material": {"young": LogUniform(2e4, 1e5)}}``; or a function ``vary(*, ...)`` that
  gives it, where it depends on some of build's parameters.

``rheograd run my_scene.py`` does the same with a file of one's own.
"""
