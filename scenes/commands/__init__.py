# SPDX-License-Identifier: Apache-2.0
"""The commands: each module has a docstring for help, RANK for its place there, and main()."""
