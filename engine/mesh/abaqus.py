# SPDX-License-Identifier: Apache-2.0
"""Meshes in the input files of Abaqus and CalculiX.

Read are NODE, ELEMENT, NSET, ELSET, SURFACE and INCLUDE of one part; node sets become groups of
nodes, element sets regions (those of shells groups of sides), surfaces groups of sides. All else is
left out. Names are taken as written, compared without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from .elements import SOLIDS
from .files import Contents, Refused
from .sides import corners, family
from .volume_mesh import VolumeMesh

SHAPES = {
    "C3D4": "tet4", "C3D10": "tet10", "C3D8": "hex8", "C3D20": "hex20", "C3D27": "hex27",
    "C3D6": "wedge6", "C3D15": "wedge15", "CPE3": "tri3", "CPE6": "tri6", "CPE4": "quad4",
    "CPE8": "quad8",
}  # fmt: skip
"""Elements by the start of their name; those of the plane are written like this too."""
FLAT = re.compile(r"(?:CPE|CPS|CAX|S|STRI|M3D|SFM3D|R3D|DS)(3|4|6|8|9)")
LINE = re.compile(r"(?:T2D|T3D|B2|B3|R2D|RAX)(2|3|1)")
SIDES = {
    "tet": ((0, 1, 2), (0, 3, 1), (1, 3, 2), (2, 3, 0)),
    "hex": ((0, 1, 2, 3), (4, 7, 6, 5), (0, 4, 5, 1), (1, 5, 6, 2), (2, 6, 7, 3), (3, 7, 4, 0)),
    "tri": ((0, 1), (1, 2), (2, 0)),
    "quad": ((0, 1), (1, 2), (2, 3), (3, 0)),
}
"""Corners of S1, S2, ..."""


class Card(NamedTuple):
    """A keyword with what belongs to it."""

    keyword: str
    options: dict[str, str]
    rows: list[list[str]]


def read_abaqus(path: Path) -> Contents:
    """Read an input file.

    Raises:
        Refused: It has several instances of parts or elements that are neither solids nor sides.
    """
    cards = list(_cards(path))
    instances = [card for card in cards if card.keyword == "INSTANCE"]
    if len(instances) > 1 or any(card.rows for card in instances):
        raise Refused(
            "an assembly of several or moved instances, expected one part: export the mesh flat "
            "(in Abaqus: do not use parts and assemblies in input files)"
        )
    rows = [row for card in cards if card.keyword == "NODE" for row in card.rows]
    if not rows:
        raise Refused("no NODE, expected nodes and elements")
    nodes = np.zeros((len(rows), 3))
    for n, row in enumerate(rows):
        place = [float(word or 0) for word in row[1:4]]
        nodes[n, : len(place)] = place
    node = {int(row[0]): n for n, row in enumerate(rows)}
    if len(node) < len(rows):
        raise Refused(
            f"{len(rows) - len(node)} node numbers come twice, expected one part: export flat"
        )
    cells, where = _elements(cards, node)
    node_sets = _sets(cards, "NSET", "NODE")
    element_sets = _sets(cards, "ELSET", "ELEMENT")
    facets, more = _surfaces(cards, element_sets, node_sets, cells, where)
    groups = []
    for name, numbers in {**element_sets, **more}.items():
        at: dict[str, list[int]] = {}
        for number in numbers:
            if number in where:
                kind, row = where[number]
                at.setdefault(kind, []).append(row)
        groups += [(name, kind, np.unique(found)) for kind, found in at.items()]
    points = {
        name: np.unique([node[n] for n in numbers if n in node]).astype(np.int64)
        for name, numbers in node_sets.items()
    }
    return Contents(nodes, cells, groups, points, facets)


def _cards(path: Path) -> Iterator[Card]:
    card, pending = None, ""
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        line = pending + text.strip()
        pending = ""
        if not line or line.startswith("**"):
            continue
        if not line.startswith("*"):
            if card:
                words = [word.strip().strip('"') for word in line.split(",")]
                card.rows.append(words[:-1] if words[-1] == "" else words)
            continue
        if line.endswith(","):
            pending = line
            continue
        if card:
            yield card
        keyword, *words = line[1:].split(",")
        pairs = [word.partition("=") for word in words]
        options = {key.strip().upper(): value.strip().strip('"') for key, _, value in pairs}
        card = Card(" ".join(keyword.upper().split()), options, [])
        if card.keyword == "INCLUDE":
            yield from _cards(path.parent / card.options["INPUT"])
    if card:
        yield card


def _kind(word: str) -> str:
    """Of an element type: ours, "line2" for bars, and as it is for what is not known."""
    name = word.upper()
    solid = re.match(r"C3D\d+", name)
    if solid and solid[0] in SHAPES:
        return SHAPES[solid[0]]
    flat = FLAT.match(name)
    if flat:
        return ("tri" if flat[1] in "36" else "quad") + flat[1]
    return "line2" if LINE.match(name) else name


def _elements(
    cards: list[Card], node: dict[int, int]
) -> tuple[dict[str, np.ndarray], dict[int, tuple[str, int]]]:
    """Cells of each kind, and kind and row of each element number."""
    cells: dict[str, list[list[int]]] = {}
    where: dict[int, tuple[str, int]] = {}
    for card in cards:
        if card.keyword != "ELEMENT":
            continue
        kind = _kind(card.options.get("TYPE", ""))
        if kind not in SOLIDS and family(kind) not in ("wedge", "line"):
            raise Refused(
                f"elements of type {card.options.get('TYPE', 'none')}, expected solids (C3D4, "
                "C3D10, C3D8, C3D20, C3D27) or those of the plane (CPE3, CPE6, CPE4, CPE8): take "
                "them out; masses and springs are given in the scene"
            )
        words = [int(word) for row in card.rows for word in row if word]
        if kind == "line2":
            width = len([word for word in card.rows[0] if word]) if card.rows else 3
            kind = f"line{width - 1}"
        else:
            width = int(re.findall(r"\d+", kind)[0]) + 1
        if len(words) % width:
            raise Refused(
                f"{len(words)} numbers under ELEMENT, TYPE={card.options['TYPE']}, expected a "
                f"multiple of {width}: an element and its nodes"
            )
        rows = cells.setdefault(kind, [])
        for start in range(0, len(words), width):
            number, *corner = words[start : start + width]
            if number in where:
                raise Refused(f"element {number} comes twice, expected one part: export flat")
            missing = [n for n in corner if n not in node]
            if missing:
                raise Refused(f"element {number} has node {missing[0]}, which is not under NODE")
            where[number] = (kind, len(rows))
            rows.append([node[n] for n in (corner if kind != "line3" else _ends_first(corner))])
    return {kind: np.array(rows, np.int64) for kind, rows in cells.items()}, where


def _ends_first(nodes: list[int]) -> list[int]:
    """Of a bar of three nodes, which Abaqus numbers from end to end."""
    return [nodes[0], nodes[2], nodes[1]]


def _sets(cards: list[Card], keyword: str, carrier: str) -> dict[str, list[int]]:
    """Numbers of each named set; sets of sets are resolved."""
    sets: dict[str, list[int]] = {}
    written: dict[str, str] = {}
    for card in cards:
        name = card.options.get(keyword)
        if name is None or card.keyword not in (keyword, carrier):
            continue
        key = written.setdefault(name.upper(), name)
        members = sets.setdefault(key, [])
        if card.keyword == carrier:
            members += _numbers_under(card, carrier)
        elif "GENERATE" in card.options:
            for row in card.rows:
                first, last, step = (*map(int, row), 1)[:3]
                members += range(first, last + 1, step)
        else:
            for word in (word for row in card.rows for word in row if word):
                if word.isdigit():
                    members.append(int(word))
                elif word.upper() in written:
                    members += sets[written[word.upper()]]
                else:
                    raise Refused(
                        f"{keyword} {name} names {word!r}, expected numbers or a set before it"
                    )
    return sets


def _numbers_under(card: Card, carrier: str) -> list[int]:
    """Numbers of the nodes or elements that a card defines."""
    if carrier == "NODE":
        return [int(row[0]) for row in card.rows]
    words = [int(word) for row in card.rows for word in row if word]
    kind = _kind(card.options.get("TYPE", ""))
    if family(kind) == "line":
        return [int(row[0]) for row in card.rows]
    return words[:: int(re.findall(r"\d+", kind)[0]) + 1]


def _surfaces(
    cards: list[Card],
    element_sets: dict[str, list[int]],
    node_sets: dict[str, list[int]],
    cells: dict[str, np.ndarray],
    where: dict[int, tuple[str, int]],
) -> tuple[dict[str, np.ndarray], dict[str, list[int]]]:
    """Corners of the sides of named surfaces, and shells of those that are made of shells.

    Surfaces of nodes are added to the node sets.
    """
    known = {name.upper(): numbers for name, numbers in element_sets.items()}
    nodes = {name.upper(): numbers for name, numbers in node_sets.items()}
    facets: dict[str, np.ndarray] = {}
    shells: dict[str, list[int]] = {}
    for card in cards:
        name = card.options.get("NAME")
        if card.keyword != "SURFACE" or name is None:
            continue
        found = []
        for row in card.rows:
            who, label = row[0], row[1].upper() if len(row) > 1 else ""
            table = nodes if card.options.get("TYPE", "").upper() == "NODE" else known
            numbers = [int(who)] if who.isdigit() else table.get(who.upper())
            if numbers is None:
                raise Refused(f"SURFACE {name} names the set {who!r}, which there is not")
            if table is nodes:
                node_sets.setdefault(name, []).extend(numbers)
            elif re.fullmatch(r"S\d", label):
                for number in numbers:
                    kind, at = where[number]
                    found.append(cells[kind][at][list(SIDES[family(kind)][int(label[1]) - 1])])
            else:
                shells.setdefault(name, []).extend(numbers)
        if found:
            facets[name] = np.array(found)
    return facets, shells


def write_abaqus(mesh: VolumeMesh, path: Path) -> None:
    """Write an input file with NSET, ELSET and SURFACE.

    Raises:
        Refused: Abaqus has no such element.
    """
    types = {kind: word for word, kind in SHAPES.items()}
    if mesh.element not in types:
        raise Refused(f"Abaqus has no {mesh.element}, expected another kind: save as .msh")
    with path.open("w", encoding="utf-8") as file:
        file.write("*HEADING\nrheograd\n*NODE\n")
        for n, place in enumerate(mesh.nodes.detach().cpu().tolist(), 1):
            file.write(f"{n}, " + ", ".join(map(repr, place)) + "\n")
        file.write(f"*ELEMENT, TYPE={types[mesh.element]}\n")
        for e, cell in enumerate((mesh.cells + 1).tolist(), 1):
            words = [e, *cell]
            lines = [words[k : k + 11] for k in range(0, len(words), 11)]
            file.write(",\n".join(", ".join(map(str, line)) for line in lines) + "\n")
        for keyword, groups in (("NSET", mesh.points), ("ELSET", mesh.regions)):
            for name, rows in groups.items():
                file.write(f'*{keyword}, {keyword}="{name}"\n')
                _write_rows(file, (rows + 1).tolist())
        for name, rows in mesh.facets.items():
            file.write(f'*SURFACE, NAME="{name}", TYPE=ELEMENT\n')
            file.writelines(f"{e + 1}, S{s + 1}\n" for e, s in _labels(mesh, rows.numpy()))


def _write_rows(file: TextIO, numbers: list[int]) -> None:
    for start in range(0, len(numbers), 12):
        file.write(", ".join(map(str, numbers[start : start + 12])) + "\n")


def _labels(mesh: VolumeMesh, sides: np.ndarray) -> list[tuple[int, int]]:
    """Cell and side, in Abaqus' order, of each facet."""
    cells, count = mesh.cells.numpy(), corners(mesh.kind.facet)
    wanted = {frozenset(row): None for row in sides[:, :count].tolist()}
    loops = SIDES[family(mesh.element)]
    near = np.isin(cells, sides).sum(1) >= count
    found: dict[frozenset[int], tuple[int, int]] = {}
    for e in np.flatnonzero(near).tolist():
        for s, loop in enumerate(loops):
            key = frozenset(cells[e, list(loop)].tolist())
            if key in wanted:
                found.setdefault(key, (e, s))
    return [found[key] for key in wanted]
