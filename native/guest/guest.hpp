// SPDX-License-Identifier: BSD-3-Clause
// The guest: a virtio-user device, and one loop over all its queues that counts, echoes or proves what
// arrives.
//
// One thread at a time connects, polls and closes; totals() and the state of the connection are for any
// thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "datapath/published.hpp"
#include "dpdk/mempool.hpp"
#include "guest/pcap_writer.hpp"
#include "guest/verifier.hpp"
#include "guest/virtio_user.hpp"

namespace guest {

enum class Role : std::uint8_t { sink, echo, verify };

struct Totals {
    std::uint64_t received = 0;
    std::uint64_t bytes = 0;
    std::uint64_t echoed = 0;
    std::uint64_t echo_drops = 0; // the device did not take them back
    std::uint64_t pcap_packets = 0;
    std::uint64_t pcap_missed = 0;
    Verifier::Totals verified;
};

class Guest {
  public:
    struct Options {
        VirtioUser::Options device;
        Role role = Role::sink;
        unsigned data_room_bytes = 2048;
        std::string pcap;        // a path; empty: none
        bool from_start = false; // the sender's first frame is to be the first one here
        bool spin = false;       // an idle loop keeps the core from everybody else
    };

    // Makes the mbuf pool and the pcap file. EAL runs. Throws Error.
    explicit Guest(const Options& options);
    ~Guest();
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    // Opens the device, see VirtioUser; once more after disconnect(). A call that waits may be given up by
    // the end of the process only.
    void connect();
    void disconnect();
    // Everything, in order. Harmless the second time; totals and verifier stay readable.
    void close();

    // Works for `milliseconds`, or until `limit` packets (0: no limit) or slightly more have come. Returns
    // the packets that came.
    std::uint64_t poll(unsigned milliseconds, std::uint64_t limit);

    // ---- any thread ----
    // As of the end of the last poll.
    [[nodiscard]] Totals totals() const { return published_.read(); }
    [[nodiscard]] bool link_up() const { return link_up_.load(std::memory_order_relaxed); }

    // ---- the thread that polls ----
    [[nodiscard]] std::uint64_t connects() const;
    [[nodiscard]] std::uint64_t disconnects() const;
    [[nodiscard]] std::uint64_t features() const { return device_ ? device_->features() : features_; }
    // Null unless the role is verify.
    [[nodiscard]] const Verifier* verifier() const { return verifier_.get(); }
    [[nodiscard]] Verifier* verifier() { return verifier_.get(); }
    // TSC when the verifier got its last frames; 0: none yet.
    [[nodiscard]] std::uint64_t last_arrival() const { return last_arrival_; }
    [[nodiscard]] int pcap_error() const { return pcap_error_; }
    // Mbufs that did not come back when the device was closed: 0, or DPDK or this class lost some.
    [[nodiscard]] unsigned mbufs_missing() const { return mbufs_missing_; }

  private:
    void work(std::uint64_t deadline, std::uint64_t enough);
    std::uint16_t round();
    void take(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count);
    void echo(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count);
    void publish();

    Options options_;
    std::optional<PcapWriter> pcap_;
    std::unique_ptr<Verifier> verifier_;
    std::unique_ptr<dpdk::Mempool> pool_;
    std::unique_ptr<VirtioUser> device_;
    std::uint64_t connects_seen_ = 0;
    std::uint64_t connects_before_ = 0; // of devices that are closed
    std::uint64_t disconnects_before_ = 0;
    std::uint64_t features_ = 0;
    unsigned mbufs_missing_ = 0;
    int pcap_error_ = 0;
    std::uint64_t last_arrival_ = 0;
    Totals counters_;
    datapath::Published<Totals> published_;
    std::atomic<bool> link_up_{false};
};

} // namespace guest
