# SPDX-License-Identifier: Apache-2.0
"""Two scales: a periodic cell of a microstructure, and the laws that are made of it.

The cell
    `cell` says what it is, `cell_files` and `microstructures` where it comes from, `periodicity`
    which of its nodes are one.
Solved
    `layout` numbers its unknowns, `points` asks its laws, `problem` puts it in balance under given
    mean deformations, by the systems of `stiffness` and `dissection`; `adjoint` has the gradients,
    `control` prescribes stresses. `fe2` is the law that does so at every quadrature point of a
    larger body, `share` among processes.
In fewer numbers
    `load_space` is the box of mean strains, `snapshots` and `paths` the cells solved in it, `modes`
    and `magic_points` what they have in common, `reduced` the cell solved in these.
Learned
    `labels` are cells solved in modes, `training` teaches them to an `EquiNO`, by
    `levenberg_marquardt`, `parametric` to one whose phases have parameters; `validation` says how
    far it is off, `report` and `pictures` show it. `embedding` keeps the cell in the law's file,
    and `hybrid` solves it beyond the box.
"""
