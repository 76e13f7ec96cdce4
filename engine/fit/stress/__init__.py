# SPDX-License-Identifier: Apache-2.0
"""Laws fitted to stress tests, compared and judged."""
