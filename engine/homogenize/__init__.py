# SPDX-License-Identifier: Apache-2.0
"""Two scales: a periodic cell of a microstructure, and the law that it makes.

`cell` says what a cell is, `periodicity` which of its nodes are one, `layout` which numbers that
gives, `problem` solves it under given mean deformations, and `fe2` is the law that does so at
every quadrature point of a larger body.
"""
