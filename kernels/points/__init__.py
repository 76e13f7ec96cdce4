# SPDX-License-Identifier: Apache-2.0
"""Points: the nearest ones, a spread-out choice, and what is carried from some to others."""
