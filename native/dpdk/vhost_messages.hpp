// SPDX-License-Identifier: BSD-3-Clause
// What guests say on a vhost-user socket: each message is looked at before vhost obeys it, and after.
//
// vhost obeys more than it should. What would break the process, or another port, is spoilt or refused here.
#pragma once

#include "dpdk/vhost_socket.hpp"

namespace dpdk {

// Looks at all messages of a new connection. Returns 0, or what librte_vhost does to refuse it.
int guard_messages(int vid);

// ---- vhost's event thread ----
// The effect of the present message on the guest's memory.
MemoryEffect effect_of_current_message();
// Whether the connection, which has ended, did so by a message that was refused.
bool last_message_was_refused(int vid);

} // namespace dpdk
