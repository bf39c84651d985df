// SPDX-License-Identifier: BSD-3-Clause
// DPDK's own log: a stream that DPDK writes to and that keeps the last lines.
//
// The lock is held for the copy of a few strings, and never while Python's lock is waited for.
#include "dpdk/log.hpp"

#include <cstdio>
#include <deque>
#include <mutex>

#include <rte_log.h>

namespace dpdk::log {
namespace {

constexpr std::size_t kept_lines = 256;
constexpr std::size_t kept_events = 1024;

struct Store {
    std::mutex mutex;
    std::deque<std::string> lines;
    std::string partial;
    std::deque<Event> events;
    bool echo = false;
};

// Never destroyed: DPDK's threads may log until the process is gone.
Store& store() {
    static auto* instance = new Store;
    return *instance;
}

void keep(Store& s, const std::string& line) {
    s.lines.push_back(line);
    if (s.lines.size() > kept_lines) {
        s.lines.pop_front();
    }
    if (s.echo) {
        std::fprintf(stderr, "%s\n", line.c_str());
    }
}

ssize_t write_lines(void* /*cookie*/, const char* text, std::size_t size) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    for (std::size_t i = 0; i < size; ++i) {
        if (text[i] == '\n') {
            keep(s, s.partial);
            s.partial.clear();
        } else {
            s.partial.push_back(text[i]);
        }
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

void echo(bool on) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    s.echo = on;
}

void add(const std::string& line) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    keep(s, "pydpdk_defer: " + line);
}

void tell(Level level, const std::string& text) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    keep(s, "pydpdk_defer: " + text);
    s.events.push_back({level, text});
    if (s.events.size() > kept_events) {
        s.events.pop_front();
    }
}

std::vector<Event> take_events() {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    std::vector<Event> events(s.events.begin(), s.events.end());
    s.events.clear();
    return events;
}

std::vector<std::string> last_lines(std::size_t count) {
    Store& s = store();
    const std::lock_guard lock(s.mutex);
    const std::size_t skip = s.lines.size() > count ? s.lines.size() - count : 0;
    return {s.lines.begin() + static_cast<std::ptrdiff_t>(skip), s.lines.end()};
}

} // namespace dpdk::log
