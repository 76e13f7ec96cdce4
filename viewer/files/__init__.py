# SPDX-License-Identifier: Apache-2.0
"""Runs written for other programs: animated glTF and series of VTK files."""
