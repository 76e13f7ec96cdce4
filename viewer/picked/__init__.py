# SPDX-License-Identifier: Apache-2.0
"""Points and cells under the mouse: which they are, their marks, words and charts."""
