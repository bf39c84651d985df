// SPDX-License-Identifier: BSD-3-Clause
// EAL: the one place that starts and ends it.
#include "dpdk/eal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_config.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>

#include "dpdk/error.hpp"
#include "dpdk/log.hpp"

namespace dpdk {
namespace {

enum class State { never, running, ended };

struct Process {
    State state = State::never;
    pid_t pid = 0; // a forked child has the memory of a running EAL, and none of its threads
    std::vector<std::string> arguments;
    std::vector<char*> argv; // EAL may reorder it and keeps the pointers
    std::string runtime_dir;
};

Process& process() {
    static auto* instance = new Process;
    return *instance;
}

// The calling thread's affinity, given back at the end of the scope: EAL pins the thread that starts it.
class AffinityGuard {
  public:
    AffinityGuard() { valid_ = sched_getaffinity(0, sizeof(saved_), &saved_) == 0; }
    ~AffinityGuard() {
        if (valid_) {
            sched_setaffinity(0, sizeof(saved_), &saved_);
        }
    }
    AffinityGuard(const AffinityGuard&) = delete;
    AffinityGuard& operator=(const AffinityGuard&) = delete;

  private:
    cpu_set_t saved_{};
    bool valid_ = false;
};

// EAL prints its usage to stdout when it does not like an argument; that belongs neither into a report nor
// into JSON.
class StdoutGuard {
  public:
    StdoutGuard() {
        std::fflush(stdout);
        saved_ = dup(STDOUT_FILENO);
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0) {
            dup2(null, STDOUT_FILENO);
            close(null);
        }
    }
    ~StdoutGuard() {
        std::fflush(stdout);
        if (saved_ >= 0) {
            dup2(saved_, STDOUT_FILENO);
            close(saved_);
        }
    }
    StdoutGuard(const StdoutGuard&) = delete;
    StdoutGuard& operator=(const StdoutGuard&) = delete;

  private:
    int saved_ = -1;
};

std::vector<std::string> build_arguments(const EalOptions& options) {
    // The main lcore's id is its CPU's number, so that "lcore=N" in a vdev's arguments means CPU N.
    const int main_cpu = options.control_cpus.front();
    std::vector<std::string> args{"pydpdk-defer"};
    if (main_cpu < RTE_MAX_LCORE) {
        args.insert(args.end(), {"-l", std::to_string(main_cpu)});
    } else {
        args.insert(args.end(), {"--lcores", "0@" + std::to_string(main_cpu)});
    }
    args.insert(args.end(),
                {"--file-prefix", options.file_prefix, "-m", std::to_string(options.memory_mb), "--iova-mode=va"});
    if (options.hugepages) {
        args.emplace_back("--in-memory");
        if (options.share_memory) {
            args.emplace_back("--single-file-segments");
        }
    } else {
        args.insert(args.end(), {"--no-huge", "--no-shconf"});
    }
    if (!options.telemetry) {
        args.emplace_back("--no-telemetry");
    }
    if (!options.pci) {
        args.emplace_back("--no-pci");
    }
    for (const auto& device : options.allowed_devices) {
        args.insert(args.end(), {"-a", device});
    }
    args.insert(args.end(), options.extra_args.begin(), options.extra_args.end());
    return args;
}

// Not the folders above it, which other DPDK processes share.
void remove_runtime_dir() {
    if (!process().runtime_dir.empty()) {
        std::error_code ignored;
        std::filesystem::remove_all(process().runtime_dir, ignored);
    }
}

[[noreturn]] void throw_start_failed(int error_number, const EalOptions& options) {
    std::string text = "EAL did not start";
    const auto lines = log::last_lines(6);
    for (const auto& line : lines) {
        text += "\n  " + line;
    }
    std::string hint =
        options.extra_args.empty() ? "see the lines above" : "see the lines above, and check eal.extra_args";
    const bool no_descriptor =
        std::any_of(lines.begin(), lines.end(), [](const auto& l) { return l.find("get fd") != std::string::npos; });
    if (no_descriptor) { // each hugepage takes one
        hint = "allow this process more open files: raise ulimit -n";
    } else if (error_number == ENOMEM) {
        hint = "lower eal.memory_mb, free memory, or reserve hugepages";
    } else if (error_number == EACCES && options.hugepages) { // what EAL calls any trouble with them
        hint = "see that hugepages are free and that this user may use them, or do without";
    } else if (error_number == EACCES || error_number == EPERM) {
        hint = "set XDG_RUNTIME_DIR to a folder you may write, or run with the rights that the lines above "
               "ask for";
    }
    throw Error(ErrorKind::eal, error_number != 0 ? error_number : EINVAL, text, hint);
}

} // namespace

void Eal::start(const EalOptions& options) {
    Process& p = process();
    if (p.state != State::never) {
        throw Error(ErrorKind::eal, EALREADY,
                    p.state == State::running ? "EAL is already running in this process, and starts once a process"
                                              : "EAL has already run in this process, and starts once a process",
                    "give each Datapath or Guest a process of its own");
    }
    if (options.control_cpus.empty()) {
        throw Error(ErrorKind::eal, EINVAL, "no CPU is left for EAL's own threads");
    }
    p.arguments = build_arguments(options);
    for (auto& arg : p.arguments) {
        p.argv.push_back(arg.data());
    }
    p.argv.push_back(nullptr);

    log::capture();
    const AffinityGuard affinity;
    cpu_set_t control{};
    for (const int cpu : options.control_cpus) {
        CPU_SET(static_cast<std::size_t>(cpu), &control);
    }
    // EAL's control threads (vhost events, interrupts) take the affinity found now, less the main lcore.
    sched_setaffinity(0, sizeof(control), &control);

    p.state = State::ended; // a failed start cannot be tried again either
    rte_errno = 0;
    int result = 0;
    {
        const StdoutGuard stdout_guard;
        result = rte_eal_init(static_cast<int>(p.arguments.size()), p.argv.data());
    }
    const int error_number = rte_errno;
    p.runtime_dir = rte_eal_get_runtime_dir();
    if (result < 0) {
        remove_runtime_dir();
        throw_start_failed(error_number, options);
    }
    p.state = State::running;
    p.pid = getpid();
    if (!options.telemetry) {
        // Nothing lives in it: gone now, it cannot be left behind by a killed process.
        std::error_code ignored;
        std::filesystem::remove(p.runtime_dir, ignored);
    }
}

void Eal::stop() {
    Process& p = process();
    if (p.state != State::running || p.pid != getpid()) {
        return;
    }
    p.state = State::ended;
    rte_eal_cleanup();
    remove_runtime_dir();
}

bool Eal::running() {
    return process().state == State::running;
}

std::string Eal::runtime_dir() {
    return process().runtime_dir;
}

std::string Eal::loaded_version() {
    const std::string text = rte_version(); // "DPDK 22.11.11"
    const auto digit = text.find_first_of("0123456789");
    return digit == std::string::npos ? text : text.substr(digit);
}

const std::vector<std::string>& Eal::arguments() {
    return process().arguments;
}

} // namespace dpdk
