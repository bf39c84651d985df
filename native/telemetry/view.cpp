// SPDX-License-Identifier: BSD-3-Clause
// A running datapath as DPDK's telemetry socket shows it.
#include "telemetry/view.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include <unistd.h>

#include <rte_cycles.h>
#include <rte_telemetry.h>

#include "datapath/stat_fields.hpp"
#include "datapath/vhost_port.hpp"
#include "dpdk/compat.hpp"
#include "dpdk/eal.hpp"
#include "dpdk/telemetry.hpp"

namespace telemetry {
namespace {

struct Shown {
    std::mutex mutex; // held while an answer is made
    std::optional<View> view;
    bool registered = false;
};

Shown& shown() {
    static auto* instance = new Shown; // DPDK's thread may outlive static objects
    return *instance;
}

// A record that counters of stat_fields.hpp are added to.
struct Record : dpdk::TelemetryRecord {
    using TelemetryRecord::add;
    void add(const char* name, datapath::NamedCounts counts) {
        TelemetryRecord group;
        for (const auto& [key, count] : counts) {
            group.add(key.data(), count); // names are literals
        }
        TelemetryRecord::add(name, std::move(group));
    }
};

std::uint64_t in_units(std::uint64_t cycles, double units_per_second) {
    const double units = static_cast<double>(cycles) * units_per_second / static_cast<double>(rte_get_tsc_hz());
    return static_cast<std::uint64_t>(std::llround(units));
}

void add_recent(Record& record, const char* name, const datapath::RecentCycles& cycles) {
    const auto steps = cycles.before(datapath::RecentCycles::step_at(rte_rdtsc(), rte_get_tsc_hz()));
    record.add(name, std::span<const std::uint64_t>(steps));
}

// Each a list: how many records, and the one of a number.
struct Datapaths {
    static std::size_t count(const View&) { return 1; }
    static Record make(const View& view, std::size_t) {
        const auto up = std::chrono::steady_clock::now() - view.up_since;
        Record record;
        record.add("pid", static_cast<std::uint64_t>(getpid()));
        record.add("uptime_us",
                   static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(up).count()));
        record.add("tsc_hz", rte_get_tsc_hz());
        record.add("dpdk_compiled", dpdk::compiled_version());
        record.add("dpdk_loaded", dpdk::Eal::loaded_version());
        record.add("hugepages", std::uint64_t{view.hugepages});
        return record;
    }
};

struct Pmds {
    static std::size_t count(const View& view) { return view.pmds.size(); }
    static Record make(const View& view, std::size_t number) {
        const auto& thread = *view.pmds[number];
        const auto stats = thread.stats();
        Record record;
        record.add("core", std::uint64_t{thread.core()});
        add_fields(record, stats);
        record.add("longest_stall_us", in_units(stats.longest_stall_cycles, 1e6));
        add_recent(record, "recent_busy_cycles", stats.recent_busy);
        return record;
    }
};

struct Deferrals {
    static std::size_t count(const View& view) { return view.pmds.size(); }
    static Record make(const View& view, std::size_t number) {
        const auto& thread = *view.pmds[number];
        const auto stats = thread.stats().deferral;
        const auto& rules = view.deferral;
        Record record;
        record.add("core", std::uint64_t{thread.core()});
        datapath::add_fields(record, stats);
        record.add("work_pending", stats.work_deferred - stats.work_done - stats.work_dropped);
        record.add("policy", std::string(rules.policy == defer::Policy::fifo ? "fifo" : "per_queue"));
        record.add("on_full", std::string(rules.on_full == defer::OnFull::wait ? "wait" : "drop"));
        record.add("ring_size", std::uint64_t{rules.ring_size});
        record.add("attempt_limit", std::uint64_t{rules.attempt_limit});
        record.add("iteration_delay", std::uint64_t{rules.iteration_delay});
        record.add("paced", std::uint64_t{rules.paced});
        record.add("deadline_us", rules.deadline_us);
        record.add("max_stall_us", rules.max_stall_us);
        return record;
    }
};

struct Ports {
    static std::size_t count(const View& view) { return view.ports.size(); }
    static Record make(const View& view, std::size_t number) {
        const auto& [port, kind, rxq_cores] = view.ports[number];
        Record record;
        record.add("port", port->name());
        record.add("kind", kind);
        record.add("rxqs", std::uint64_t{port->rxq_count()});
        record.add("txqs", std::uint64_t{port->txq_count()});
        if (const auto* vhost = dynamic_cast<const datapath::VhostPort*>(port.get()); vhost != nullptr) {
            record.add("copy", std::string(datapath::copy_mode_names[static_cast<std::size_t>(vhost->copy())]));
            record.add("guest_connects", vhost->connects());
            record.add("guest_disconnects", vhost->disconnects());
            record.add("guest_failures", vhost->failures());
        }
        return record;
    }
};

// The queue of a number, counted through all ports; nullptr: there are not so many.
struct Queue {
    const View::Port* of;
    std::uint16_t qid;

    [[nodiscard]] const datapath::Port& port() const { return *of->port; }
};
using CountQueues = std::uint16_t (datapath::Port::*)() const;
Queue find_queue(const View& view, std::size_t number, CountQueues count) {
    for (const auto& entry : view.ports) {
        const std::size_t queues = (entry.port.get()->*count)();
        if (number < queues) {
            return {&entry, static_cast<std::uint16_t>(number)};
        }
        number -= queues;
    }
    return {nullptr, 0};
}

std::size_t count_queues(const View& view, CountQueues count) {
    std::size_t queues = 0;
    for (const auto& entry : view.ports) {
        queues += (entry.port.get()->*count)();
    }
    return queues;
}

Record record_of(const Queue& queue) {
    Record record;
    record.add("port", queue.port().name());
    record.add("qid", std::uint64_t{queue.qid});
    return record;
}

struct Rxqs {
    static std::size_t count(const View& view) { return count_queues(view, &datapath::Port::rxq_count); }
    static Record make(const View& view, std::size_t number) {
        const Queue queue = find_queue(view, number, &datapath::Port::rxq_count);
        const auto stats = queue.port().rxq_stats(queue.qid);
        Record record = record_of(queue);
        if (const int core = queue.of->rxq_cores.at(queue.qid); core >= 0) {
            record.add("core", static_cast<std::uint64_t>(core));
        }
        add_fields(record, stats);
        add_recent(record, "recent_cycles", stats.recent);
        return record;
    }
};

struct Txqs {
    static std::size_t count(const View& view) { return count_queues(view, &datapath::Port::txq_count); }
    static Record make(const View& view, std::size_t number) {
        const Queue queue = find_queue(view, number, &datapath::Port::txq_count);
        auto stats = queue.port().txq_stats(queue.qid);
        std::uint64_t waiting = 0;
        for (const auto& handoff : view.handoffs) {
            if (handoff.txq_port == queue.of->port && handoff.qid == queue.qid) {
                stats.drop(datapath::Drop::handoff_full,
                           handoff.dropped_before + (handoff.port ? handoff.port->dropped() : 0));
                waiting += handoff.port ? handoff.port->waiting() : 0;
            }
        }
        Record record = record_of(queue);
        add_fields(record, stats);
        record.add("waiting", waiting);
        return record;
    }
};

// Percentiles, as whole counts do not fit into an answer.
struct InFlightTimes {
    static std::size_t count(const View& view) { return Txqs::count(view); }
    static Record make(const View& view, std::size_t number) {
        const Queue queue = find_queue(view, number, &datapath::Port::txq_count);
        const auto* counts = queue.port().in_flight_times(queue.qid);
        const auto times = counts != nullptr ? counts->read() : decltype(counts->read()){};
        std::uint64_t count = 0;
        double sum = 0;
        for (const auto& [cycles, times_counted] : times) {
            count += times_counted;
            sum += static_cast<double>(cycles) * static_cast<double>(times_counted);
        }
        const auto percentile = [&](double share) {
            double seen = 0;
            for (const auto& [cycles, times_counted] : times) {
                seen += static_cast<double>(times_counted);
                if (seen >= share * static_cast<double>(count)) {
                    return in_units(cycles, 1e9);
                }
            }
            return std::uint64_t{0};
        };
        Record record = record_of(queue);
        record.add("count", count);
        record.add("mean_ns",
                   count == 0 ? 0 : in_units(static_cast<std::uint64_t>(sum / static_cast<double>(count)), 1e9));
        record.add("p50_ns", percentile(0.5));
        record.add("p99_ns", percentile(0.99));
        record.add("p999_ns", percentile(0.999));
        record.add("max_ns", percentile(1));
        return record;
    }
};

struct DmaDevices {
    static std::size_t count(const View& view) { return view.dma.size(); }
    static Record make(const View& view, std::size_t number) {
        const auto& [device, model, summary] = view.dma[number];
        const auto stats = device->stats();
        Record record;
        record.add("dma", device->name());
        record.add("device", device->device());
        record.add("driver", device->driver());
        record.add("is_hardware", std::uint64_t{device->is_hardware()});
        record.add("out_of_use", std::uint64_t{device->out_of_use()});
        add_fields(record, stats);
        record.add("modelled", std::uint64_t{model != nullptr});
        if (model != nullptr) {
            record.add("model", summary);
            record.add("model_changes", model->changes());
            add_fields(record, model->stats());
        }
        return record;
    }
};

struct Mempools {
    static std::size_t count(const View& view) { return view.mempools.size(); }
    static Record make(const View& view, std::size_t number) {
        const auto& pool = *view.mempools[number];
        Record record;
        record.add("mempool", pool.name());
        record.add("size", std::uint64_t{pool.size()});
        record.add("available", std::uint64_t{pool.available()});
        return record;
    }
};

template<typename List> int answer(const char* /*command*/, const char* parameters, rte_tel_data* data) {
    try {
        const std::lock_guard lock(shown().mutex);
        const auto& view = shown().view;
        return dpdk::answer_telemetry(*data, parameters, view ? List::count(*view) : 0,
                                      [&](std::size_t number) { return List::make(*view, number); });
    } catch (const std::exception&) { // no memory: DPDK answers null
        return -1;
    }
}

struct Command {
    const char* name;
    telemetry_cb answer;
    const char* help;
};

constexpr std::array commands{
    Command{"/pydpdk_defer/datapath", answer<Datapaths>, "The datapath of this process"},
    Command{"/pydpdk_defer/pmd", answer<Pmds>, "PMD threads. Parameter: number of the first one, 0 without it"},
    Command{"/pydpdk_defer/deferral", answer<Deferrals>, "Deferred work of PMD threads. Parameter: as for pmd"},
    Command{"/pydpdk_defer/ports", answer<Ports>, "Ports. Parameter: as for pmd"},
    Command{"/pydpdk_defer/rxqs", answer<Rxqs>, "Receive queues of all ports. Parameter: as for pmd"},
    Command{"/pydpdk_defer/txqs", answer<Txqs>, "Transmit queues of all ports. Parameter: as for pmd"},
    Command{"/pydpdk_defer/in_flight_time", answer<InFlightTimes>,
            "Times in flight of transmit queues' batches since the start. Parameter: as for pmd"},
    Command{"/pydpdk_defer/dma", answer<DmaDevices>, "DMA devices. Parameter: as for pmd"},
    Command{"/pydpdk_defer/mempools", answer<Mempools>, "Mempools. Parameter: as for pmd"},
};

} // namespace

void show(View view) {
    std::optional<View> former(std::move(view)); // what it holds is let go of without the lock
    const std::lock_guard lock(shown().mutex);
    shown().view.swap(former);
    if (!std::exchange(shown().registered, true)) {
        for (const auto& command : commands) {
            rte_telemetry_register_cmd(command.name, command.answer, command.help);
        }
    }
}

void hide() {
    std::optional<View> former;
    const std::lock_guard lock(shown().mutex);
    shown().view.swap(former);
}

} // namespace telemetry
