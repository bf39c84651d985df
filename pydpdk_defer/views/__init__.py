# SPDX-License-Identifier: BSD-3-Clause
"""Text for people who look into a running datapath, from snapshots alone."""
