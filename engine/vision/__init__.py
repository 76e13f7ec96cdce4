# SPDX-License-Identifier: Apache-2.0
"""From pixels to motion: cameras, videos, the tracker, and strain maps."""
