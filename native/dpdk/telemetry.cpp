// SPDX-License-Identifier: BSD-3-Clause
// What commands on DPDK's telemetry socket answer.
#include "dpdk/telemetry.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include <rte_telemetry.h>

#include "dpdk/compat.hpp"

namespace dpdk {
namespace {

// DPDK cuts an answer at 16 KB, the command's name and braces included.
constexpr std::size_t answer_bytes = 15 * 1024;
constexpr std::size_t punctuation = 4;   // "":, for each named value
constexpr std::size_t number_bytes = 21; // 20 digits and a comma

} // namespace

void TelemetryRecord::Free::operator()(rte_tel_data* data) const {
    rte_tel_data_free(data);
}

TelemetryRecord::TelemetryRecord()
    : data_(rte_tel_data_alloc())
    , size_(2) {
    if (data_ == nullptr) {
        throw std::bad_alloc();
    }
    rte_tel_data_start_dict(data_.get());
}

void TelemetryRecord::count(const char* name, std::size_t value_bytes, int failed) {
    if (failed < 0) {
        throw std::length_error(std::string("telemetry has no room for ") + name);
    }
    size_ += std::strlen(name) + punctuation + value_bytes;
}

void TelemetryRecord::add(const char* name, std::uint64_t value) {
    count(name, number_bytes, telemetry_add_u64(data_.get(), name, value));
}

void TelemetryRecord::add(const char* name, std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '"' || c == '\\' || (static_cast<unsigned char>(c) < ' '); },
        '_');
    text.resize(std::min<std::size_t>(text.size(), RTE_TEL_MAX_STRING_LEN - 1));
    count(name, text.size() + 2, rte_tel_data_add_dict_string(data_.get(), name, text.c_str()));
}

void TelemetryRecord::keep(const char* name, Data data, std::size_t bytes) {
    count(name, bytes, rte_tel_data_add_dict_container(data_.get(), name, data.get(), 0));
    parts_.push_back(std::move(data));
}

void TelemetryRecord::add(const char* name, std::span<const std::uint64_t> values) {
    Data row(rte_tel_data_alloc());
    if (row == nullptr) {
        throw std::bad_alloc();
    }
    rte_tel_data_start_array(row.get(), RTE_TEL_U64_VAL);
    for (const std::uint64_t value : values) {
        count("", number_bytes, telemetry_append_u64(row.get(), value));
    }
    keep(name, std::move(row), 2);
}

void TelemetryRecord::add(const char* name, TelemetryRecord record) {
    parts_.reserve(parts_.size() + record.parts_.size() + 1);
    keep(name, std::move(record.data_), record.size_);
    std::move(record.parts_.begin(), record.parts_.end(), std::back_inserter(parts_));
}

rte_tel_data* TelemetryRecord::release() {
    for (auto& part : parts_) {
        static_cast<void>(part.release());
    }
    parts_.clear();
    return data_.release();
}

int answer_telemetry(rte_tel_data& answer, const char* parameters, std::size_t count,
                     const std::function<TelemetryRecord(std::size_t)>& make) {
    std::size_t first = 0;
    if (parameters != nullptr) {
        const char* end = parameters + std::strlen(parameters);
        if (std::from_chars(parameters, end, first).ptr != end) {
            return -1;
        }
    }
    rte_tel_data_start_dict(&answer);
    std::size_t used = 0;
    for (std::size_t number = first; number < count; ++number) {
        TelemetryRecord record = make(number);
        const std::string name = std::to_string(number);
        used += name.size() + punctuation + record.size();
        if (used > answer_bytes || number - first == RTE_TEL_MAX_DICT_ENTRIES) {
            break;
        }
        rte_tel_data_add_dict_container(&answer, name.c_str(), record.release(), 0);
    }
    return 0;
}

} // namespace dpdk
