# SPDX-License-Identifier: Apache-2.0
"""What a panel is drawn of: bodies, surroundings, sections, legends, and the Warp splatter."""
