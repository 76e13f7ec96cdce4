# SPDX-License-Identifier: Apache-2.0
"""Pictures, movies and the interactive window; nothing depends on it."""
