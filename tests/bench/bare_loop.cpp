// SPDX-License-Identifier: BSD-3-Clause
// The peer that the product's loop is measured against: the same frames by the same DPDK calls into the same
// vrings, a burst for each in turn, in one flat loop without ports, ledger or work ring. It runs in the datapath's own
// process while the PMD thread is stopped.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sched.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_vhost.h>
#include <rte_vhost_async.h>

#include "datapath/frame.hpp"
#include "datapath/pacer.hpp"

namespace py = pybind11;

namespace {

constexpr std::uint16_t batch = 32;

struct Slice {
    std::vector<int> vids;
    std::int16_t dma_id; // -1: copy by CPU
    std::string pool;
    std::uint16_t frame_size;
    double rate_pps;
    unsigned milliseconds;
    unsigned core;
};

struct Result {
    std::uint64_t packets = 0;
    std::uint64_t cycles = 0;
    std::uint64_t busy_cycles = 0; // of rounds that made, sent or finished packets
    bool pinned = false;
};

// A guest, and what is in flight to it.
struct Guest {
    int vid;
    std::uint32_t in_flight = 0;
};

std::uint16_t send(const Slice& slice, Guest& guest, rte_mbuf** packets, std::uint16_t count) {
    const std::uint16_t taken = slice.dma_id < 0
                                    ? rte_vhost_enqueue_burst(guest.vid, 0, packets, count)
                                    : rte_vhost_submit_enqueue_burst(guest.vid, 0, packets, count, slice.dma_id, 0);
    guest.in_flight += slice.dma_id < 0 ? 0 : taken;
    const std::uint16_t mine = slice.dma_id < 0 ? 0 : taken;
    rte_pktmbuf_free_bulk(packets + mine, count - mine);
    return taken;
}

std::uint32_t finish(const Slice& slice, std::vector<Guest>& guests) {
    std::uint32_t finished = 0;
    for (Guest& guest : guests) {
        if (guest.in_flight > 0) {
            rte_mbuf* done[128];
            const std::uint16_t count = rte_vhost_poll_enqueue_completed(guest.vid, 0, done, 128, slice.dma_id, 0);
            rte_pktmbuf_free_bulk(done, count);
            guest.in_flight -= count;
            finished += count;
        }
    }
    return finished;
}

bool any_in_flight(const std::vector<Guest>& guests) {
    return std::any_of(guests.begin(), guests.end(), [](const Guest& guest) { return guest.in_flight > 0; });
}

void loop(const Slice& slice, Result& result) {
    rte_mempool* pool = rte_mempool_lookup(slice.pool.c_str());
    const rte_ether_addr address{{2, 0, 0, 0, 0, 1}};
    const auto header = datapath::frame::make_header(slice.frame_size, address, address, 0);
    datapath::Pacer pacer;
    pacer.set_rate(slice.rate_pps, rte_get_tsc_hz());
    const std::uint64_t start = rte_rdtsc();
    const std::uint64_t end = start + rte_get_tsc_hz() / 1000 * slice.milliseconds;
    pacer.restart(start);
    std::uint64_t last = start;
    std::uint64_t sequence = 0;
    std::vector<Guest> guests;
    for (const int vid : slice.vids) {
        guests.push_back({.vid = vid});
    }
    std::size_t next = 0;
    while (last < end) {
        std::uint16_t count = pacer.limited() ? pacer.take(last, batch, batch) : batch;
        rte_mbuf* packets[batch];
        if (count > 0 && rte_pktmbuf_alloc_bulk(pool, packets, count) != 0) {
            count = 0;
        }
        for (std::uint16_t i = 0; i < count; ++i) {
            datapath::frame::write(rte_pktmbuf_mtod(packets[i], std::uint8_t*), slice.frame_size, header,
                                   {.stream = 0, .sequence = sequence++, .stamp = last}, false);
            packets[i]->data_len = slice.frame_size;
            packets[i]->pkt_len = slice.frame_size;
        }
        if (count > 0) {
            result.packets += send(slice, guests[next], packets, count);
            next = next + 1 < guests.size() ? next + 1 : 0;
        }
        const std::uint32_t finished = slice.dma_id < 0 ? 0 : finish(slice, guests);
        const std::uint64_t now = rte_rdtsc();
        result.busy_cycles += count > 0 || finished > 0 ? now - last : 0;
        last = now;
    }
    result.cycles = last - start;
    while (any_in_flight(guests)) {
        finish(slice, guests);
    }
}

void pinned_loop(const Slice& slice, Result& result) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(slice.core, &cpus);
    if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0 || rte_thread_register() != 0) {
        return;
    }
    result.pinned = true;
    loop(slice, result);
    rte_thread_unregister();
}

} // namespace

PYBIND11_MODULE(_bare_loop, m) {
    m.doc() = "A bare loop over librte_vhost, for the benchmark";
    m.def(
        "run",
        [](std::vector<int> vids, int dma_id, std::string pool, std::uint16_t frame_size, double rate_pps,
           unsigned milliseconds, unsigned core) {
            const Slice slice{.vids = std::move(vids),
                              .dma_id = static_cast<std::int16_t>(dma_id),
                              .pool = std::move(pool),
                              .frame_size = frame_size,
                              .rate_pps = rate_pps,
                              .milliseconds = milliseconds,
                              .core = core};
            Result result;
            {
                const py::gil_scoped_release release;
                std::thread(pinned_loop, std::cref(slice), std::ref(result)).join();
            }
            if (!result.pinned) {
                throw std::runtime_error("the bare loop's thread could not be pinned and registered");
            }
            py::dict d;
            d["packets"] = result.packets;
            d["cycles"] = result.cycles;
            d["busy_cycles"] = result.busy_cycles;
            return d;
        },
        py::kw_only(), py::arg("vids"), py::arg("dma_id"), py::arg("pool"), py::arg("frame_size"), py::arg("rate_pps"),
        py::arg("milliseconds"), py::arg("core"),
        "Send frames for a while, bursts to the guests in turn; dma_id -1 copies by CPU. Returns packets taken, "
        "cycles, and cycles of busy rounds.");
}
