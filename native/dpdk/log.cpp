// SPDX-License-Identifier: BSD-3-Clause
// DPDK's own log: a stream that DPDK writes to and that keeps what was written.
//
// The lock is held for the copy of a few strings, and never while Python's lock is waited for.
#include "dpdk/log.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <iterator>
#include <mutex>
#include <utility>

#include <rte_log.h>

namespace dpdk::log {
namespace {

constexpr std::size_t kept_lines = 256;
constexpr std::size_t kept_records = 1024; // of DPDK's, and as many of our own

struct Store {
    std::mutex mutex;
    std::deque<std::string> lines;
    std::string partial;
    std::deque<Record> of_dpdk;
    std::deque<Record> our_own;
    std::size_t lost = 0;
};

// Never destroyed: DPDK's threads may log until the process is gone.
Store& store() {
    static auto* instance = new Store;
    return *instance;
}

void keep_line(Store& s, const std::string& line) {
    s.lines.push_back(line);
    if (s.lines.size() > kept_lines) {
        s.lines.pop_front();
    }
}

void keep_record(Store& s, Level level, bool from_dpdk, const std::string& text) {
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    auto& records = from_dpdk ? s.of_dpdk : s.our_own;
    records.push_back({level, from_dpdk, now.count(), text});
    if (records.size() > kept_records) {
        records.pop_front();
        ++s.lost;
    }
}

// Of the message that this thread is writing.
Level current_level() {
    switch (rte_log_cur_msg_loglevel()) {
    case RTE_LOG_EMERG:
    case RTE_LOG_ALERT:
    case RTE_LOG_CRIT:
        return Level::critical;
    case RTE_LOG_ERR:
        return Level::error;
    case RTE_LOG_WARNING:
        return Level::warning;
    case RTE_LOG_DEBUG:
        return Level::debug;
    default:
        return Level::info;
    }
}

ssize_t write_lines(void* /*cookie*/, const char* text, std::size_t size) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    for (std::size_t i = 0; i < size; ++i) {
        if (text[i] != '\n') {
            s.partial.push_back(text[i]);
            continue;
        }
        keep_line(s, s.partial);
        if (!s.partial.empty()) {
            keep_record(s, current_level(), true, s.partial);
        }
        s.partial.clear();
    }
    return static_cast<ssize_t>(size);
}

} // namespace

void capture() {
    cookie_io_functions_t functions{};
    functions.write = write_lines;
    std::FILE* stream = fopencookie(nullptr, "w", functions);
    if (stream != nullptr) {
        std::setvbuf(stream, nullptr, _IOLBF, 0);
        rte_openlog_stream(stream);
    }
}

void add(const std::string& line) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    keep_line(s, "pydpdk_defer: " + line);
}

void tell(Level level, const std::string& text) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    keep_line(s, "pydpdk_defer: " + text);
    keep_record(s, level, false, text);
}

std::vector<Record> take_records() {
    // Swapped out under the lock, merged outside: PMD threads and vhost's event thread log under it.
    decltype(Store::of_dpdk) of_dpdk;
    decltype(Store::our_own) our_own;
    {
        Store& s = store();
        const std::lock_guard lock(s.mutex);
        if (const std::size_t lost = std::exchange(s.lost, 0); lost != 0) {
            keep_record(s, Level::warning, false, std::to_string(lost) + " messages of the log are lost");
        }
        of_dpdk.swap(s.of_dpdk);
        our_own.swap(s.our_own);
    }
    std::vector<Record> records;
    const auto earlier = [](const Record& a, const Record& b) { return a.time_s < b.time_s; };
    std::merge(std::make_move_iterator(of_dpdk.begin()), std::make_move_iterator(of_dpdk.end()),
               std::make_move_iterator(our_own.begin()), std::make_move_iterator(our_own.end()),
               std::back_inserter(records), earlier);
    return records;
}

std::vector<std::string> last_lines(std::size_t count) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    const std::size_t skip = s.lines.size() > count ? s.lines.size() - count : 0;
    return {s.lines.begin() + static_cast<std::ptrdiff_t>(skip), s.lines.end()};
}

} // namespace dpdk::log
