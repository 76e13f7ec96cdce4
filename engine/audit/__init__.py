# SPDX-License-Identifier: Apache-2.0
"""What a constitutive law owes physics, put to the test; see `audit.audit`."""
