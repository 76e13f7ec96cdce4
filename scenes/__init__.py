# SPDX-License-Identifier: Apache-2.0
"""Scene scripts and the command line."""
