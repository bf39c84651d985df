# SPDX-License-Identifier: BSD-3-Clause
"""The other end of a vhost-user socket: a guest in a process of its own, on DPDK's virtio-user.

It counts what arrives, sends it back, or proves it: every byte, the order in each stream, loss, duplicates, and the
one-way latency.

    with Guest("/tmp/vm0.sock", role="verify") as guest:
        guest.run(seconds=5)
    print(guest.stats())
"""

from pydpdk_defer.guest._guest import Guest, Role
from pydpdk_defer.guest._stats import GuestStats, Latency, Stream

__all__ = ["Guest", "GuestStats", "Latency", "Role", "Stream"]
