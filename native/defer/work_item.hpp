// SPDX-License-Identifier: BSD-3-Clause
// A work item: one send still in progress, and the function that finishes it.
#pragma once

#include <cstdint>

namespace defer {

// Asks `port` how far the oldest unfinished send of its txq `qid` is. Answers 0 when that send is done,
// -EINPROGRESS when it is not; with `force` never -EINPROGRESS: any other value but 0 says that the send was
// given up.
using WorkFunc = int (*)(void* port, std::uint16_t qid, bool force);

struct WorkItem {
    WorkFunc work_func = nullptr;
    void* port = nullptr;
    std::uint16_t qid = 0;
    std::uint32_t attempts = 0;
    std::uint32_t deferred_at = 0; // the owner's iteration count when the item was appended
};

} // namespace defer
