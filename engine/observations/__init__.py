# SPDX-License-Identifier: Apache-2.0
"""What was seen of motions, each a class that says how far a simulation is from it."""
