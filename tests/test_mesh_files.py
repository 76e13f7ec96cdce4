# SPDX-License-Identifier: Apache-2.0
"""Files of volume meshes: round trips, groups, node orders and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
import torch
from volume_meshes import areas, bar, every_element

from rheograd.engine.mesh.elements import SOLIDS
from rheograd.engine.mesh.sides import family
from rheograd.engine.mesh.volume_mesh import VolumeMesh


def contents(mesh: VolumeMesh) -> dict[str, Any]:
    """Groups by where they are, for comparison across numberings."""
    at = (mesh.nodes * 1e6).round().long()
    out: dict[str, Any] = {}
    for groups, tag in (
        (mesh.facets, "facets"),
        (mesh.regions, "regions"),
        (mesh.points, "points"),
    ):
        for name, rows in groups.items():
            nodes = mesh.cells[rows] if tag == "regions" else rows.reshape(len(rows), -1)
            out[f"{tag} {name}"] = sorted(sorted(map(tuple, at[row].tolist())) for row in nodes)
    return out


@every_element
@pytest.mark.parametrize("suffix", [".msh", ".vtu", ".vtk", ".inp"])
def test_files_round_trip(
    name: str, suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mesh = bar(name)
    path = tmp_path / "new" / f"mesh{suffix}"
    if (name, suffix) in (("quad9", ".inp"),):
        with pytest.raises(ValueError, match="Abaqus has no quad9, expected another kind"):
            mesh.save(path)
        return
    assert mesh.save(path) == path
    again = VolumeMesh.load(path)
    assert again.element == name and torch.allclose(again.nodes, mesh.nodes)
    assert again.volume == pytest.approx(mesh.volume)
    assert contents(again) == contents(mesh)
    small = VolumeMesh.load(path, scale=1e-3, element=name)
    assert small.volume == pytest.approx(mesh.volume * 1e-3**mesh.dim)
    assert capfd.readouterr() == ("", "")


def test_first_order_file_for_a_second_order_element(tmp_path: Path) -> None:
    path = bar("hex8").save(tmp_path / "a.vtu")
    mesh = VolumeMesh.load(path, element="hex20")
    assert mesh.element == "hex20" and mesh.volume == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"a\.vtu: got a mesh of hex8 cells to make one of tet10"):
        VolumeMesh.load(path, element="tet10")


@pytest.mark.parametrize("name", SOLIDS)
def test_wrong_orders_of_nodes_are_mended(name: str, tmp_path: Path) -> None:
    """Left-handed numbering, and mid-side nodes the other way round."""
    mesh = bar(name)
    kinds = {"tet4": "tetra", "tet10": "tetra10", "hex8": "hexahedron", "hex20": "hexahedron20",
             "hex27": "hexahedron27", "tri3": "triangle", "tri6": "triangle6", "quad4": "quad",
             "quad8": "quad8", "quad9": "quad9"}  # fmt: skip
    mirrored = mesh.nodes.numpy() * [-1, 1, 1]
    meshio.write(tmp_path / "a.vtu", meshio.Mesh(mirrored, [(kinds[name], mesh.cells.numpy())]))
    assert VolumeMesh.load(tmp_path / "a.vtu").volume == pytest.approx(mesh.volume)
    corner = {"tet": 4, "hex": 8, "tri": 3, "quad": 4}[family(name)]
    shuffled = mesh.cells.numpy()[
        :, [*range(corner), *range(len(mesh.kind.nodes) - 1, corner - 1, -1)]
    ]
    nodes = mesh.nodes.numpy()
    meshio.write(tmp_path / "b.vtu", meshio.Mesh(nodes, [(kinds[name], shuffled)]))
    assert torch.equal(VolumeMesh.load(tmp_path / "b.vtu").cells, mesh.cells)


GMSH = """$MeshFormat
{version} 0 8
$EndMeshFormat
$PhysicalNames
3
0 3 "corner"
2 2 "left end"
3 1 "body"
$EndPhysicalNames
"""
GMSH_41 = (
    GMSH.format(version="4.1")
    + """$Entities
1 0 2 1
1 0 0 0 1 3
1 0 0 0 0 1 1 1 2 0
2 0 0 0 1 1 0 0 0
1 0 0 0 1 1 1 1 1 2 1 2
$EndEntities
$Nodes
1 5 1 9
3 1 0 5
1
2
3
4
9
0 0 0
1 0 0
0 1 0
0 0 1
5 5 5
$EndNodes
$Elements
4 4 1 4
0 1 15 1
1 1
2 1 2 1
2 1 3 4
2 2 2 1
3 1 2 3
3 1 4 1
4 1 2 3 4
$EndElements
"""
)
GMSH_22 = (
    GMSH.format(version="2.2")
    + """$Nodes
5
1 0 0 0
2 1 0 0
3 0 1 0
4 0 0 1
9 5 5 5
$EndNodes
$Elements
5
1 15 2 3 1 1
2 2 2 2 1 1 3 4
3 2 2 7 2 1 2 3
4 4 2 1 1 1 2 3 4
5 4 2 8 1 1 2 3 4
$EndElements
"""
)


@pytest.mark.parametrize("text", [GMSH_41, GMSH_22], ids=["4.1", "2.2"])
def test_physical_groups_of_gmsh(text: str, tmp_path: Path) -> None:
    """One of the faces and a node are in no group; in 2.2 the cell comes once for each of two."""
    (tmp_path / "a.msh").write_text(text)
    mesh = VolumeMesh.load(tmp_path / "a.msh")
    assert mesh.nodes.shape == (4, 3) and mesh.volume == pytest.approx(1 / 6)
    assert areas(mesh, mesh.facets_of("left end")).tolist() == pytest.approx([-0.5, 0, 0])
    assert mesh.nodes_of("corner").tolist() == [0] and mesh.cells_of("body").tolist() == [0]
    if text is GMSH_22:
        assert mesh.cells_of("8").tolist() == [0] and len(mesh.facets_of("7")) == 1


ABAQUS = """*HEADING
** a comment
*Node, NSET=Nall
10, 0., 0., 0.
20, 1., 0., 0.
30, 0., 1., 0.
40, 0., 0., 1.
50, 1., 1., 1.
*Element, type=C3D4H, ELSET=Lower
1, 10, 20,
30, 40
*ELEMENT, TYPE=C3D4, ELSET=Upper
2, 20, 50, 30, 40
*Element, Type=S3, Elset=Skin
7, 10, 30, 20
*Nset, nset="Two nodes", generate
10, 20, 10
*NSET, NSET=more
TWO NODES, 40
*ELSET, ELSET=Both
lower, Upper
*SURFACE, NAME=Bottom
Lower, S1
*Surface, name=Shell, type=ELEMENT
Skin, SPOS
*Surface, name=Tip, type=NODE
more
*MATERIAL, NAME=Steel
*ELASTIC
2e11, 0.3
"""


def test_sets_and_surfaces_of_abaqus(tmp_path: Path) -> None:
    head, rest = ABAQUS.split("*Nset", 1)
    (tmp_path / "sets.txt").write_text("*Nset" + rest)
    (tmp_path / "a.inp").write_text(head + "*INCLUDE, INPUT=sets.txt\n")
    mesh = VolumeMesh.load(tmp_path / "a.inp")
    assert mesh.element == "tet4" and mesh.volume == pytest.approx(1 / 6 + 1 / 3)
    assert {name: rows.tolist() for name, rows in mesh.regions.items()} == {
        "Lower": [0], "Upper": [1], "Both": [0, 1]
    }  # fmt: skip
    assert mesh.points["Two nodes"].tolist() == [0, 1]
    assert mesh.points["more"].tolist() == mesh.points["Tip"].tolist() == [0, 1, 3]
    assert len(mesh.points["Nall"]) == 5
    for name in ("Bottom", "Skin", "Shell"):
        assert areas(mesh, mesh.facets_of(name)).tolist() == pytest.approx([0, 0, -0.5])


def written(path: Path, *blocks: tuple[str, list[list[int]]]) -> None:
    place = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)
    cells: Any = [(kind, np.array(rows)) for kind, rows in blocks]
    tags: Any = [np.ones(len(rows), int) for _, rows in blocks]
    meshio.write(path, meshio.Mesh(place, cells, cell_data={"gmsh:physical": tags}))


HEX = [0, 4, 6, 2, 1, 5, 7, 3]
BLOCKS = {
    "mixed": [("tetra", [[0, 4, 2, 1]]), ("hexahedron", [HEX])],
    "wedge": [("wedge", [[0, 4, 2, 1, 5, 3]])],
    "line": [("line", [[0, 4]])],
    "surface": [("quad", [[0, 4, 7, 3]])],
    "shell": [("hexahedron", [HEX]), ("quad", [[0, 4, 7, 3]])],
    "some inverted": [("tetra", [[0, 4, 2, 1], [4, 6, 2, 1]]), ("tetra", [[6, 7, 5, 3]])],
}


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ("mixed", r"mixes cells \(1 hex8 and 1 tet4\), expected one kind"),
        ("wedge", "holds 1 wedge cells, expected one of tet4"),
        ("line", r"holds no solid \(1 line2\), expected cells of one of tet4"),
        ("surface", "1 quad4 cells, a surface in space.*mesh_shape"),
        ("shell", r"1 of 1 facets '1' that are no side"),
        ("some inverted", "1 of 3 tet4 cells that are inverted"),
    ],
)
def test_files_of_what_is_no_body(blocks: str, words: str, tmp_path: Path) -> None:
    written(tmp_path / "a.vtu", *BLOCKS[blocks])
    contents = meshio.read(tmp_path / "a.vtu")
    contents.cell_data = {"medit:ref": contents.cell_data["gmsh:physical"]}
    contents.write(tmp_path / "b.vtu")
    with pytest.raises(ValueError, match=rf"b\.vtu: .*{words}"):
        VolumeMesh.load(tmp_path / "b.vtu")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.msh", "garbage", "is not a mesh file that can be read.*export it as"),
        ("a.vtu", "<VTKFile", "is not a mesh file that can be read"),
        ("a.docx", "text", "Could not deduce file format"),
        ("a.inp", "*HEADING\n", r"a\.inp: no NODE"),
        ("a.inp", ABAQUS.replace("C3D4H", "MASS"), "elements of type MASS, expected solids"),
        ("a.inp", ABAQUS.replace("20,\n30, 40", "20,\n30"), "expected a multiple of 5"),
        ("a.inp", ABAQUS.replace("30, 40", "30, 41"), "element 1 has node 41, which is not under"),
        ("a.inp", ABAQUS.replace("2, 20, 50", "1, 20, 50"), "element 1 comes twice"),
        ("a.inp", ABAQUS.replace("50, 1.", "40, 1."), "1 node numbers come twice"),
        ("a.inp", ABAQUS.replace("lower, Upper", "nothing"), "ELSET Both names 'nothing'"),
        ("a.inp", ABAQUS.replace("Skin, SPOS", "None, SPOS"), "SURFACE Shell names the set 'None'"),
        ("a.inp", ABAQUS + "*INSTANCE, NAME=a\n1., 0., 0.\n", "expected one part: export"),
        ("a.inp", ABAQUS.replace("10, 0.,", "10, x,"), "is not a mesh file that can be read"),
    ],
)  # fmt: skip
def test_files_that_are_refused(
    name: str, text: str, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        VolumeMesh.load(tmp_path / name)
    assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_other_refusals_of_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no mesh file none\.msh: check the path"):
        VolumeMesh.load("none.msh")
    path = bar().save(tmp_path / "a.vtu")
    with pytest.raises(ValueError, match="got scale=0, expected a positive"):
        VolumeMesh.load(path, scale=0)
    with pytest.raises(
        ValueError, match=r"a mesh file a\.stl, expected a name that ends in one of"
    ):
        bar().save(tmp_path / "a.stl")
    blank = replace(bar(), points={"two words": torch.tensor([1])})
    with pytest.raises(ValueError, match="a blank in its name"):
        blank.save(tmp_path / "a.vtk")
    twice = replace(bar(), points={"x-": torch.tensor([1])})
    with pytest.raises(ValueError, match=r"two groups have the name 'x-'"):
        twice.save(tmp_path / "a.msh")


CUBE = """*NODE
1, 0, 0, 0
2, 1, 0, 0
3, 1, 1, 0
4, 0, 1, 0
5, 0, 0, 1
6, 1, 0, 1
7, 1, 1, 1
8, 0, 1, 1
*ELEMENT, TYPE=C3D8
1, 1, 2, 3, 4, 5, 6, 7, 8
"""
CORNER = """*NODE
1, 0, 0, 0
2, 1, 0, 0
3, 0, 1, 0
4, 0, 0, 1
*ELEMENT, TYPE=C3D4
1, 1, 2, 3, 4
"""
OUTWARD = {
    "C3D8": (CUBE, [(0, 0, -1), (0, 0, 1), (0, -1, 0), (1, 0, 0), (0, 1, 0), (-1, 0, 0)]),
    "C3D4": (CORNER, [(0, 0, -0.5), (0, -0.5, 0), (0.5, 0.5, 0.5), (-0.5, 0, 0)]),
}


@pytest.mark.parametrize("kind", list(OUTWARD))
def test_sides_are_numbered_as_abaqus_does(kind: str, tmp_path: Path) -> None:
    """S1 ... of the manual: of a brick 1234, 5876, 1562, 2673, 3784, 4851; of a tetrahedron 123,
    142, 243, 341."""
    text, outward = OUTWARD[kind]
    text += "".join(f"*SURFACE, NAME=S{k}\n1, S{k}\n" for k in range(1, len(outward) + 1))
    (tmp_path / "a.inp").write_text(text)
    mesh = VolumeMesh.load(tmp_path / "a.inp")
    for k, normal in enumerate(outward, 1):
        assert areas(mesh, mesh.facets_of(f"S{k}")).tolist() == pytest.approx(normal, abs=1e-12)
