# SPDX-License-Identifier: BSD-3-Clause
"""What this machine has, and what DPDK needs of it."""
