// SPDX-License-Identifier: BSD-3-Clause
// What guests say on a vhost-user socket.
//
// vhost closes the file descriptors of a message that it refuses itself, but not of one that is refused here: where
// there is a way, a message is spoilt instead.
#include "dpdk/vhost_messages.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

#include <rte_vhost.h>

#include "dpdk/vhost_socket.hpp"

namespace dpdk {
namespace {

// Types of the vhost-user protocol, section "Front-end message types".
enum VhostUserRequest : std::uint32_t {
    none = 0,
    set_mem_table = 5,
    set_vring_num = 8,
    set_vring_kick = 12,
    set_vring_call = 13,
    get_queue_num = 17,
    set_vring_enable = 18,
    iotlb_msg = 22,
    postcopy_advise = 28,
    postcopy_listen = 29,
    get_inflight_fd = 31,
    set_inflight_fd = 32,
};
// Of the message that vhost works on in this thread.
thread_local std::uint32_t request = none;
// Whose message it is, until vhost has accepted it; -1: nobody's.
thread_local int unaccepted_vid = -1;

// A message about one vring as the protocol has it, section "Header": by the contract of the callback it begins there.
// `vring` is the lower half of a number where file descriptors come along.
struct VringMessage {
    std::uint32_t request;
    std::uint32_t flags;
    std::uint32_t size;
    std::uint32_t vring;
    std::uint32_t state;
};
constexpr std::uint32_t need_reply = 1U << 3; // of `flags`: with an answer the connection stays
constexpr std::uint32_t vring_number = 0xff;  // of `vring`
constexpr std::uint32_t no_descriptor = 1U << 8;

VringMessage read(const void* message) {
    VringMessage copy;
    std::memcpy(&copy, message, sizeof(copy));
    return copy;
}

void write(void* message, const VringMessage& changed) {
    std::memcpy(message, &changed, sizeof(changed));
}

// Turns the message into a reply with a 64-bit value.
void answer(void* message, std::uint64_t value) {
    VringMessage reply = read(message);
    reply.size = sizeof(value);
    static_assert(offsetof(VringMessage, vring) == 12 && sizeof(reply.vring) + sizeof(reply.state) == sizeof(value));
    std::memcpy(&reply.vring, &value, sizeof(value));
    write(message, reply);
}

// Messages that need a feature that no port of ours offers. vhost obeys them all the same: it writes beyond the memory
// that comes with set_inflight_fd, makes as much as get_inflight_fd asks for, changes vrings by iotlb_msg without their
// locks, and after postcopy_listen waits in its only thread for an answer that need not come.
rte_vhost_msg_result spoil_never_offered(void* message) {
    constexpr std::size_t iotlb_type_at = 12 + 25;
    switch (request) {
    case iotlb_msg:
        static_cast<std::uint8_t*>(message)[iotlb_type_at] = 0;
        return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
    case get_inflight_fd:
    case set_inflight_fd: {
        VringMessage spoilt = read(message);
        spoilt.size = 0;
        write(message, spoilt);
        return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
    }
    case postcopy_advise:
    case postcopy_listen:
        return RTE_VHOST_MSG_RESULT_ERR;
    default:
        return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
    }
}

// Makes it what vhost refuses, a vring that starts without the descriptor that it says to have or with one that it
// denies; and without an answer, so that the connection ends.
rte_vhost_msg_result turn_away(void* message) {
    VringMessage spoilt = read(message);
    spoilt.flags &= ~need_reply;
    spoilt.vring ^= no_descriptor;
    write(message, spoilt);
    return request == set_vring_kick ? RTE_VHOST_MSG_RESULT_NOT_HANDLED : RTE_VHOST_MSG_RESULT_ERR;
}

// vhost tells nobody which message makes a vring's state change; but it asks about each message first.
rte_vhost_msg_result before_message(int vid, void* message) {
    const VringMessage head = read(message);
    request = head.request;
    unaccepted_vid = vid;
    const bool starts = request == set_vring_kick || (request == set_vring_enable && head.state != 0);
    const bool asks_port =
        starts || request == set_vring_enable || request == set_vring_num || request == get_queue_num;
    auto* const port = asks_port ? events_of(vid) : nullptr;
    if (port != nullptr && starts && !port->may_start(vid)) {
        return turn_away(message);
    }
    if (port != nullptr && request == set_vring_enable && head.vring <= UINT16_MAX) {
        port->before_vring_switch(vid, static_cast<std::uint16_t>(head.vring), head.state != 0);
    }
    // Only the first: vhost does not close file descriptors that come with a message that is answered here.
    if (port != nullptr && request == get_queue_num) {
        if (const std::uint16_t queue_pairs = port->queue_pairs_once(vid); queue_pairs > 0) {
            answer(message, queue_pairs);
            return RTE_VHOST_MSG_RESULT_REPLY;
        }
    }
    // vhost would take another size at once, and look for packets in flight at places that there are none at.
    if (port != nullptr && request == set_vring_num && port->vring_started(vid, head.vring)) {
        VringMessage spoilt = head;
        spoilt.state = UINT32_MAX; // more than vhost takes
        write(message, spoilt);
        return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
    }
    return spoil_never_offered(message);
}

// vhost maps a region that is longer than its file, and dies of SIGBUS at the first look at a ring there.
bool memory_is_there(int vid) {
    rte_vhost_memory* memory = nullptr;
    if (rte_vhost_get_mem_table(vid, &memory) != 0) {
        return true;
    }
    bool all_there = true;
    for (std::uint32_t i = 0; i < memory->nregions; ++i) {
        const rte_vhost_mem_region& region = memory->regions[i];
        const std::uint64_t end =
            region.host_user_addr - reinterpret_cast<std::uintptr_t>(region.mmap_addr) + region.size;
        struct stat file {};
        all_there &=
            fstat(region.fd, &file) != 0 || !S_ISREG(file.st_mode) || end <= static_cast<std::uint64_t>(file.st_size);
    }
    std::free(memory);
    return all_there;
}

// A PMD thread that tells the guest by it must not wait where it is full, be it an eventfd or a pipe in its place. The
// vring's lock is held: nobody has used it yet.
void never_wait_at_call(int vid, std::uint16_t vring) {
    rte_vhost_vring found{};
    if (rte_vhost_get_vhost_vring(vid, vring, &found) == 0 && found.callfd >= 0) {
        (void)fcntl(found.callfd, F_SETFL, fcntl(found.callfd, F_GETFL) | O_NONBLOCK);
    }
}

// Not called for a message that was refused.
rte_vhost_msg_result after_message(int vid, void* message) {
    VringMessage head = read(message);
    if (request == set_mem_table && !memory_is_there(vid)) {
        head.flags &= ~need_reply;
        write(message, head);
        return RTE_VHOST_MSG_RESULT_ERR;
    }
    if (request == set_vring_call) {
        never_wait_at_call(vid, static_cast<std::uint16_t>(head.vring & vring_number));
    }
    unaccepted_vid = -1;
    return RTE_VHOST_MSG_RESULT_NOT_HANDLED; // leaves what became of it as it is
}

} // namespace

int guard_messages(int vid) {
    static const rte_vhost_user_extern_ops ops{.pre_msg_handle = before_message, .post_msg_handle = after_message};
    return rte_vhost_extern_callback_register(vid, &ops, nullptr);
}

MemoryEffect effect_of_current_message() {
    switch (request) {
    case set_vring_enable:
    case set_vring_kick:
    case set_vring_call:
        return MemoryEffect::none;
    case set_mem_table:
        return MemoryEffect::replaced;
    default:
        return MemoryEffect::unknown;
    }
}

bool last_message_was_refused(int vid) {
    return std::exchange(unaccepted_vid, -1) == vid;
}

} // namespace dpdk
