# SPDX-License-Identifier: Apache-2.0
"""Knowledge flows one way: kernels, materials, engine, viewer, scenes; modules stay small."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("kernels", "materials", "engine", "viewer", "scenes")
MODULES = sorted(
    path.relative_to(ROOT).as_posix() for layer in LAYERS for path in (ROOT / layer).rglob("*.py")
)
LAZY = {
    "PIL",
    "aiohttp",
    "av",
    "cv2",
    "ezc3d",
    "imageio",
    "imageio_ffmpeg",
    "matplotlib",
    "meshio",
    "pyvista",
    "sympy",
    "taichi",
    "trame",
    "trame_rca",
    "trimesh",
    "vtk",
}
UNSAFE = {"det", "logdet", "slogdet", "nan_to_num", "nan_to_num_"}
LINES_PER_FILE = 500
LINES_PER_FUNCTION = 60


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"), module)


def targets(module: str, node: ast.Import | ast.ImportFrom) -> list[str]:
    """Absolute dotted names that an import statement may load."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = ["rheograd", *Path(module).parent.parts]
        kept = package[: len(package) - node.level + 1]
        base = ".".join([*kept, *filter(None, [node.module])])
    return [f"{base}.{alias.name}" for alias in node.names]


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything a module imports, at the top or lazily."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in targets(module, node):
                yield node.lineno, name


def loaded_with(module: str) -> Iterator[tuple[int, str]]:
    """Line and name of what importing the module imports: not in functions, not for types only."""
    pending: list[ast.AST] = [parsed(module)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in targets(module, node):
                yield node.lineno, name
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_from_the_layers_below(module: str) -> None:
    rank = LAYERS.index(Path(module).parts[0])
    wrong = []
    for line, name in imports(module):
        head, _, rest = name.partition(".")
        if head in LAYERS:
            wrong.append(f"{module}:{line} imports {name}: a second copy, write rheograd.{name}")
        elif head == "rheograd":
            layer = rest.partition(".")[0]
            if layer not in LAYERS or LAYERS.index(layer) > rank:
                wrong.append(f"{module}:{line} imports {name}, which is not below {LAYERS[rank]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES)
def test_relative_imports_stay_in_the_package(module: str) -> None:
    own = "rheograd." + Path(module).parts[0]
    wrong = [
        f"{module}:{node.lineno} reaches out of {own}: write `from rheograd.`"
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.ImportFrom) and node.level
        if not all(f"{name}.".startswith(f"{own}.") for name in targets(module, node))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("kernels/")])
def test_kernels_know_warp_only(module: str) -> None:
    torch = [f"{module}:{line} imports {n}" for line, n in imports(module) if n.startswith("torch")]
    assert not torch, "\n".join(torch)


@pytest.mark.parametrize("module", MODULES)
def test_heavy_imports_are_lazy(module: str) -> None:
    heavy = [
        f"{module}:{line} imports {name} on load: import it in the function that needs it"
        for line, name in loaded_with(module)
        if name.partition(".")[0] in LAZY
    ]
    assert not heavy, "\n".join(heavy)


@pytest.mark.parametrize("module", MODULES)
def test_no_silently_wrong_calls(module: str) -> None:
    """Torch's determinants have wrong batched second derivatives; nan_to_num hides wrong gradients.

    The linter sees `torch.det`; here also methods, such as `F.det()`.
    """
    wrong = [
        f"{module}:{node.lineno} uses {ast.unparse(node)}: write det3, or find the bad value"
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Attribute) and node.attr in UNSAFE
        if node.attr.startswith("nan") or not ast.unparse(node).startswith(("np.", "numpy."))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_stay_small(module: str) -> None:
    length = len((ROOT / module).read_text(encoding="utf-8").splitlines())
    assert length <= LINES_PER_FILE, f"{module} has {length} lines, at most {LINES_PER_FILE}"
    long = [
        f"{module}:{node.lineno} {node.name} has {lines} lines, at most {LINES_PER_FUNCTION}"
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := own_lines(node)) > LINES_PER_FUNCTION
    ]
    assert not long, "\n".join(long)


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring and without the functions in it.

    A kernel factory is as long as the kernels it holds, and each of these is counted by itself.
    """
    body = function.body[ast.get_docstring(function, clean=False) is not None :]
    nested: list[ast.AST] = []
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nested.append(node)
        else:
            pending.extend(ast.iter_child_nodes(node))
    return sum(map(span, body)) - sum(map(span, nested))


def span(node: ast.AST) -> int:
    """Lines from the first to the last of a statement."""
    return node.end_lineno - node.lineno + 1  # pyright: ignore[reportAttributeAccessIssue]


def test_every_package_is_listed() -> None:
    """A subpackage that pyproject.toml forgets works in a checkout but is not in the wheel."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["setuptools"]["packages"]
    folders = {"rheograd." + ".".join(Path(module).parent.parts) for module in MODULES}
    assert sorted(listed) == sorted(folders)


@pytest.mark.parametrize("layer", LAYERS)
def test_type_checkers_see_the_layer(layer: str) -> None:
    link = ROOT / "typings" / "rheograd" / layer
    if not link.is_symlink():
        pytest.skip("this checkout has no symbolic links (git config core.symlinks)")
    assert link.resolve() == (ROOT / layer).resolve()


@pytest.mark.parametrize("tree", [*LAYERS, "tests"])
def test_every_file_names_its_licence(tree: str) -> None:
    for path in (ROOT / tree).rglob("*.py"):
        with path.open(encoding="utf-8") as file:
            first = file.readline().strip()
        assert first == "# SPDX-License-Identifier: Apache-2.0", path.relative_to(ROOT)
