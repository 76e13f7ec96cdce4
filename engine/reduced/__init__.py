# SPDX-License-Identifier: Apache-2.0
"""Reduced order: about a thousand points carry the motion of any number."""
