// SPDX-License-Identifier: BSD-3-Clause
// A port that makes frames, and swallows what is sent to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <rte_ether.h>

#include "datapath/frame.hpp"
#include "datapath/pacer.hpp"
#include "datapath/port.hpp"
#include "datapath/published.hpp"
#include "dpdk/mempool.hpp"

namespace datapath {

class GeneratorPort final : public Port {
  public:
    struct Options {
        std::uint16_t queues = 1;
        std::uint16_t first_stream = 0; // queue q makes stream first_stream + q
        std::string source_mac;
        std::string destination_mac;
    };
    // What to make, from the next start_traffic() on.
    struct Shape {
        std::vector<std::uint16_t> frame_sizes; // taken in turn, without FCS
        double rate_pps = 0;                    // of all queues together; 0: as fast as it goes
        std::uint16_t burst = 1;                // a paced queue waits until so many frames are due
        std::uint16_t batch = max_batch;        // frames of one poll at most
        bool pattern = true;                    // a payload that the guest can prove
    };

    // Throws std::invalid_argument.
    GeneratorPort(std::string name, const Options& options, const Shape& shape, std::shared_ptr<dpdk::Mempool> pool);

    // ---- control side ----
    // At least so many txqs: one for each PMD thread that sends here. Throws std::out_of_range.
    void set_sinks(std::uint16_t count);
    // Throws std::invalid_argument and keeps the former shape.
    void set_shape(const Shape& shape);
    // Makes `packets` more frames, shared out among the queues; 0: until stop_traffic().
    void start_traffic(std::uint64_t packets);
    void stop_traffic();
    // All frames asked for by start_traffic(packets) are made.
    [[nodiscard]] bool finished() const;
    [[nodiscard]] std::uint16_t rxq_count() const override { return static_cast<std::uint16_t>(sources_.size()); }
    [[nodiscard]] std::uint16_t txq_count() const override { return sink_count_; }
    [[nodiscard]] RxqStats rxq_stats(std::uint16_t qid) const override { return sources_.at(qid).published.read(); }
    [[nodiscard]] TxqStats txq_stats(std::uint16_t qid) const override { return sinks_.at(qid).published.read(); }
    [[nodiscard]] bool packets_can_wait() const override { return true; } // to be made
    [[nodiscard]] bool drain(unsigned /*timeout_ms*/) override { return true; }
    void close() override {}

    // ---- owner ----
    void release_rxq(std::uint16_t qid) override { housekeep_rxq(qid, {}); }
    void release_txq(std::uint16_t qid) override { housekeep_txq(qid); }
    [[nodiscard]] std::uint16_t receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count,
                                        std::uint64_t now) override;
    [[nodiscard]] int send(std::uint16_t qid, Batch& batch, Sent& sent) override;
    void refuse(std::uint16_t qid, Batch& batch) override;
    void housekeep_rxq(std::uint16_t qid, const RxqLoad& load) override;
    void housekeep_txq(std::uint16_t qid) override { sinks_[qid].published.publish(sinks_[qid].stats); }

  private:
    static constexpr std::uint16_t max_sinks = 128; // PMD threads

    // One start_traffic() for one queue. Never changes once the queue's owner can see it.
    struct Traffic {
        Shape shape;
        std::vector<frame::Header> headers; // one for each of the frame sizes
        std::uint64_t end_sequence = 0;     // stop before this one
    };
    struct alignas(64) Source {
        // Control side -> owner; nullptr: make nothing.
        std::atomic<const Traffic*> traffic{nullptr};
        // Control side.
        std::vector<std::unique_ptr<const Traffic>> kept;
        // Owner.
        const Traffic* current = nullptr;
        std::uint16_t stream = 0;
        std::uint32_t next_size = 0;
        std::uint64_t sequence = 0;
        Pacer pacer;
        RxqStats stats;
        // Owner -> control side.
        std::atomic<const Traffic*> adopted{nullptr};
        std::atomic<std::uint64_t> made{0};
        Published<RxqStats> published;
    };
    struct alignas(64) Sink {
        TxqStats stats;
        Published<TxqStats> published;
    };

    static void adopt(Source& source, std::uint64_t now);
    // Returns their bytes.
    std::uint64_t make_frames(Source& source, const Traffic& traffic, rte_mbuf** packets, std::uint16_t count,
                              std::uint64_t now) const;

    Options options_;
    Shape shape_;
    std::shared_ptr<dpdk::Mempool> pool_;
    std::vector<Source> sources_;
    std::vector<Sink> sinks_;
    std::uint16_t sink_count_ = 0;
};

} // namespace datapath
