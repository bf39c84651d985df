// SPDX-License-Identifier: BSD-3-Clause
// A pool of mbufs.
#include "dpdk/mempool.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "dpdk/error.hpp"

namespace dpdk {
namespace {

constexpr unsigned cache_size = 256; // several batches of 32, a multiple of them

} // namespace

Mempool::Mempool(std::string name, unsigned count, unsigned data_room_bytes)
    : name_(std::move(name))
    , data_room_bytes_(data_room_bytes)
    , pool_(nullptr) {
    const unsigned room = RTE_ALIGN_CEIL(data_room_bytes + RTE_PKTMBUF_HEADROOM, RTE_CACHE_LINE_SIZE);
    if (room > UINT16_MAX) {
        throw Error(ErrorKind::port, EINVAL,
                    "mbuf data room of " + std::to_string(data_room_bytes) + " bytes is beyond what an mbuf holds");
    }
    pool_ = rte_pktmbuf_pool_create(name_.c_str(), count, cache_size, 0, static_cast<uint16_t>(room),
                                    static_cast<int>(rte_socket_id()));
    if (pool_ == nullptr) {
        // Header, mbuf and room; without hugepages no mbuf crosses a page, which wastes up to as much again.
        const auto need_mb =
            (static_cast<std::uint64_t>(count) * (room + sizeof(rte_mbuf) + 64)) * 2 / (1024 * 1024) + 1;
        throw Error(ErrorKind::eal, rte_errno != 0 ? rte_errno : ENOMEM,
                    "no memory for " + std::to_string(count) + " mbufs of " + std::to_string(room) + " bytes (up to " +
                        std::to_string(need_mb) + " MB): " + rte_strerror(rte_errno),
                    "raise eal.memory_mb to " + std::to_string(need_mb + 64));
    }
}

Mempool::~Mempool() {
    free();
}

void Mempool::free() {
    last_size_ = size();
    last_available_ = available();
    last_repeated_ = count_repeated();
    rte_mempool_free(pool_);
    pool_ = nullptr;
}

unsigned Mempool::size() const {
    return pool_ != nullptr ? pool_->size : last_size_;
}

unsigned Mempool::available() const {
    return pool_ != nullptr ? rte_mempool_avail_count(pool_) : last_available_;
}

unsigned Mempool::count_repeated() {
    if (pool_ == nullptr) {
        return last_repeated_;
    }
    for (unsigned lcore = 0; lcore < RTE_MAX_LCORE; ++lcore) {
        if (rte_mempool_cache* const cache = rte_mempool_default_cache(pool_, lcore); cache != nullptr) {
            rte_mempool_cache_flush(cache, pool_);
        }
    }
    std::vector<void*> mbufs;
    for (void* mbuf = nullptr; rte_mempool_generic_get(pool_, &mbuf, 1, nullptr) == 0;) {
        mbufs.push_back(mbuf);
    }
    rte_mempool_generic_put(pool_, mbufs.data(), static_cast<unsigned>(mbufs.size()), nullptr);
    std::sort(mbufs.begin(), mbufs.end());
    const auto distinct = std::unique(mbufs.begin(), mbufs.end());
    return static_cast<unsigned>(mbufs.end() - distinct);
}

} // namespace dpdk
