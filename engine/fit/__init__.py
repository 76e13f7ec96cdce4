# SPDX-License-Identifier: Apache-2.0
"""Fitting laws and parameters to observed motion, and the report of a fit.

numbers    identify (from experiments to the report), least_squares, experiment, parameter, trials,
           uncertainty, numerical_error, expected (about how stiff, before a law is learned)
laws       learn (from demonstrations to the report), demonstrations, lesson, shooting, recipe, held
           (the best law on held-out frames), weights
fields     field, descent: stiffness or shape by gradients
bodies     primitive: a solid from its silhouettes
for all    follow (simulations at observed times), judge, team (processes), run_folder, distance,
           prediction (what is written for those who watch)
report     report, report_files, page, page_parameters, overlays, plots, curves, quantity, style
"""
