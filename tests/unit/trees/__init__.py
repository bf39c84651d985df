# SPDX-License-Identifier: BSD-3-Clause
"""Folders that stand for the root of a host."""
