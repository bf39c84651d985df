// SPDX-License-Identifier: BSD-3-Clause
// What commands on DPDK's telemetry socket answer: a list of records, as much of it as one answer holds.
//
// Called on DPDK's telemetry thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct rte_tel_data;

namespace dpdk {

// Named values. Names are letters, digits and '_'. Throws std::bad_alloc; more than 256 values, or 512 in a row, are
// a std::length_error.
class TelemetryRecord {
  public:
    TelemetryRecord();

    void add(const char* name, std::uint64_t value);
    // At most 127 bytes of it. What JSON would have to escape is replaced: DPDK escapes since 23.03 only.
    void add(const char* name, std::string text);
    void add(const char* name, std::span<const std::uint64_t> values);
    void add(const char* name, TelemetryRecord record);

    // Bytes of JSON that it takes, at most.
    [[nodiscard]] std::size_t size() const { return size_; }
    // It is DPDK's to free.
    [[nodiscard]] rte_tel_data* release();

  private:
    struct Free {
        void operator()(rte_tel_data* data) const;
    };
    using Data = std::unique_ptr<rte_tel_data, Free>;

    void count(const char* name, std::size_t value_bytes, int failed);
    void keep(const char* name, Data data, std::size_t bytes);

    Data data_;
    std::vector<Data> parts_; // that are in it; of parts too
    std::size_t size_;
};

// Answers with records from `first` on of `count`, under their numbers, as many as fit. `make` makes one of them.
// Returns what a telemetry callback returns. `parameters`: the first number, or nothing for 0.
[[nodiscard]] int answer_telemetry(rte_tel_data& answer, const char* parameters, std::size_t count,
                                   const std::function<TelemetryRecord(std::size_t)>& make);

} // namespace dpdk
