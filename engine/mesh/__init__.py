# SPDX-License-Identifier: Apache-2.0
"""Volume meshes: elements, files, generators and the filling of surfaces."""
