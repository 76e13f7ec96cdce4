# SPDX-License-Identifier: Apache-2.0
"""Constitutive laws as torch modules.

Here are the seam (law.py), laws in closed form, each by the name of its physics (elastic.py,
rubber.py, plastic.py, flows.py, ...), laws made of laws (composition.py), published materials
(known.py), and files of laws. In folders are laws by how they know what they know:

    energies/     the derivative of an energy of invariants: learned, or given as a formula
    learned/      stress and flow answered by networks or curves on features of F
    homogenized/  the mean stress of a periodic cell, learned from cells that were solved
"""
