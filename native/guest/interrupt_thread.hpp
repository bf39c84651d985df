// SPDX-License-Identifier: BSD-3-Clause
// Runs a function in DPDK's interrupt thread, between the handlers and alarms of its drivers, and waits for
// it.
#pragma once

#include <functional>

namespace guest {

// Not from the interrupt thread itself. When that thread is stuck for seconds the caller's thread runs it
// instead.
void in_interrupt_thread(const std::function<void()>& work);

} // namespace guest
