# SPDX-License-Identifier: Apache-2.0
"""Laws of periodic cells, learned from cells that were solved."""
