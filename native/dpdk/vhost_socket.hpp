// SPDX-License-Identifier: BSD-3-Clause
// A vhost-user socket registered with librte_vhost, and the way of its events to the port that owns it.
#pragma once

#include <cstdint>
#include <string>

namespace dpdk {

// What a message of the guest does to its memory.
enum class MemoryEffect {
    none,     // SET_VRING_ENABLE, SET_VRING_KICK, SET_VRING_CALL
    replaced, // SET_MEM_TABLE: vhost reports every vring off and on again, also those that the guest has off
    unknown,  // every other message; vhost may unmap the memory next
};

// What a guest does, told on DPDK's own threads: implementations take no lock that a Python caller can hold,
// and return within a bounded time. vhost frees the guest's memory after device_gone returns, and after a
// vring_changed to off unless the effect is MemoryEffect::none.
class VhostEvents {
  public:
    virtual ~VhostEvents() = default;
    // The guest is ready with at least its first queue pair. No vring's lock is held. false: not taken.
    virtual bool device_ready(int vid) = 0;
    // The guest is leaving. No vring's lock is held.
    virtual void device_gone(int vid) = 0;
    // The connection has ended, after device_gone if there was a guest. `refused`: by a message that vhost refused. Not
    // called for the connections that unregistering ends.
    virtual void connection_closed(int vid, bool refused) = 0;
    // Called with the locks of all the device's vrings held, but for switching off after device_gone.
    virtual void vring_changed(int vid, std::uint16_t vring, bool enabled, MemoryEffect effect) = 0;
    // The guest is about to switch a vring on or off by SET_VRING_ENABLE; the same locks are held, and the vring is
    // still as it was. What is in flight has to be finished now: once the vring is off, vhost no longer returns the
    // buffers of completed packets to the guest; and it closes the connection of a guest that switches a vring on
    // while something is in flight.
    virtual void before_vring_switch(int vid, std::uint16_t vring, bool on) = 0;
    // The answer to a connection's first GET_QUEUE_NUM: the number of queue pairs. 0: the connection has it already.
    virtual std::uint16_t queue_pairs_once(int vid) = 0;
    // Has the vring been on since there is a guest? It cannot change its size then. Called with those locks held.
    virtual bool vring_started(int vid, std::uint32_t vring) = 0;
    // The device is about to start a vring. false: another one is served, and this one's connection is to be closed.
    virtual bool may_start(int vid) = 0;
};

// Of the port whose socket a device came by; nullptr: there is none. On DPDK's threads.
VhostEvents* events_of(int vid);

class VhostSocket {
  public:
    struct Options {
        std::string path;
        bool client = false;   // connect to a guest that listens, and reconnect
        bool async = false;    // the port's vrings may be fed by DMA
        bool counters = false; // librte_vhost keeps counters of its own
    };

    // Registers and starts. Events come from now on. Throws Error(ErrorKind::vhost).
    VhostSocket(std::string port_name, const Options& options, VhostEvents& events);
    ~VhostSocket();
    VhostSocket(const VhostSocket&) = delete;
    VhostSocket& operator=(const VhostSocket&) = delete;

    // Unregisters: device_gone is called in this thread for a guest that is still there. No lock that an
    // event takes may be held, and not the GIL. Harmless the second time.
    void close();

  private:
    std::string path_;
    bool registered_ = false;
};

// Vrings of a device: the guest's receive ring of queue pair q is 2q, its transmit ring 2q + 1.
constexpr std::uint16_t guest_rx_vring(std::uint16_t qid) {
    return static_cast<std::uint16_t>(2 * qid);
}
constexpr std::uint16_t guest_tx_vring(std::uint16_t qid) {
    return static_cast<std::uint16_t>(2 * qid + 1);
}

} // namespace dpdk
