# SPDX-License-Identifier: Apache-2.0
"""A fit watched as it goes on: its folder, its numbers, its prediction over the observed."""
