# SPDX-License-Identifier: Apache-2.0
"""What was observed over a run or prediction: points as rings, tracks over their film."""
