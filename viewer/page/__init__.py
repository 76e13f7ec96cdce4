# SPDX-License-Identifier: Apache-2.0
"""The viewer in a browser: the page, its controls, and pictures on their way to it."""
