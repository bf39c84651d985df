// SPDX-License-Identifier: BSD-3-Clause
// A pool of mbufs.
#pragma once

#include <cstdint>
#include <string>

struct rte_mempool;

namespace dpdk {

class Mempool {
  public:
    // `count` mbufs, each with `data_room_bytes` for a frame beside the headroom. Throws Error(ENOMEM) with
    // what is needed.
    Mempool(std::string name, unsigned count, unsigned data_room_bytes);
    ~Mempool();
    Mempool(const Mempool&) = delete;
    Mempool& operator=(const Mempool&) = delete;

    // Gives the memory back; nobody may hold an mbuf of it. Harmless the second time; counts stay as they
    // were.
    void free();

    [[nodiscard]] rte_mempool* get() const { return pool_; }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] unsigned size() const;
    // Mbufs in the pool and in its per-lcore caches. Exact only while no thread allocates or frees.
    [[nodiscard]] unsigned available() const;
    // How many mbufs were freed twice: they are in the pool more than once. Takes all mbufs out and puts them back, so
    // no other thread may use the pool.
    [[nodiscard]] unsigned count_repeated();
    [[nodiscard]] unsigned data_room_bytes() const { return data_room_bytes_; }

  private:
    std::string name_;
    unsigned data_room_bytes_;
    rte_mempool* pool_;
    unsigned last_size_ = 0;
    unsigned last_available_ = 0;
    unsigned last_repeated_ = 0;
};

} // namespace dpdk
