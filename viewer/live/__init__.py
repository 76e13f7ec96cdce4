# SPDX-License-Identifier: Apache-2.0
"""The window that drives a running simulation: sliders, a hand that pulls, pause, reset."""
