# SPDX-License-Identifier: BSD-3-Clause
"""What DPDK's dpdk-telemetry-exporter.py loads, one file each: give it this folder, and `-e defer`."""
