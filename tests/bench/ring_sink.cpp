// SPDX-License-Identifier: BSD-3-Clause
// The consumer behind the benchmark's many guests: one loop over the receive rings of all of them, which looks at each
// frame's header and gives its buffer back at once. Split rings (virtio 1.2, section 2.7) as vhost_frontend.py lays
// them out. DPDK's own guest driver would need a process for every 32 devices, and two such processes that busy-poll
// on one core keep each other off it for milliseconds.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#define VIRTIO_RING_NO_LEGACY // C++ takes no C that turns void* into what it likes
#include <linux/virtio_ring.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sched.h>

namespace py = pybind11;

namespace {

// So many rounds without a frame before others may have the core: a DMA device's thread shares it.
constexpr unsigned patient_rounds = 4;
constexpr unsigned rounds_between_looks_at_the_clock = 1024;

class ReceiveRing {
  public:
    // `memory`: where the guest's memory is mapped, which its descriptors count from. The ring starts it.
    ReceiveRing(std::byte* memory, std::uint16_t size, std::size_t available_offset, std::size_t used_offset)
        : memory_(memory)
        , descriptors_(reinterpret_cast<const vring_desc*>(memory))
        , available_(reinterpret_cast<vring_avail*>(memory + available_offset))
        , used_(reinterpret_cast<vring_used*>(memory + used_offset))
        , size_(size)
        , given_(available_->idx) {
        available_->flags = VRING_AVAIL_F_NO_INTERRUPT; // as a polling driver has it
    }

    // Returns the frames that came.
    std::uint32_t take() {
        // Pairs with the backend's release: the entries before this index are whole, and their buffers filled.
        const std::uint16_t used = std::atomic_ref(used_->idx).load(std::memory_order_acquire);
        const auto count = static_cast<std::uint16_t>(used - taken_);
        for (; taken_ != used; ++taken_) {
            const std::uint32_t id = used_->ring[taken_ % size_].id;
            const auto* frame = reinterpret_cast<const volatile std::uint64_t*>(memory_ + descriptors_[id].addr);
            headers_ += frame[0] + frame[3]; // what a driver and a stack look at first; the same cache line
            available_->ring[given_++ % size_] = static_cast<std::uint16_t>(id);
        }
        if (count > 0) {
            std::atomic_ref(available_->idx).store(given_, std::memory_order_release);
        }
        return count;
    }

  private:
    std::byte* memory_;
    const vring_desc* descriptors_;
    vring_avail* available_;
    vring_used* used_;
    std::uint16_t size_;
    std::uint16_t given_;
    std::uint16_t taken_ = 0;
    std::uint64_t headers_ = 0;
};

class Sink {
  public:
    Sink(const std::vector<std::uintptr_t>& memories, std::uint16_t size, std::size_t available_offset,
         std::size_t used_offset) {
        for (const std::uintptr_t memory : memories) {
            rings_.emplace_back(reinterpret_cast<std::byte*>(memory), size, available_offset, used_offset);
        }
    }

    std::uint64_t serve(unsigned milliseconds) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
        std::uint64_t frames = 0;
        unsigned idle_rounds = 0;
        do {
            for (unsigned i = 0; i < rounds_between_looks_at_the_clock; ++i) {
                const std::uint64_t before = frames;
                for (ReceiveRing& ring : rings_) {
                    frames += ring.take();
                }
                if (frames != before) {
                    idle_rounds = 0;
                } else if (++idle_rounds >= patient_rounds) {
                    sched_yield();
                }
            }
        } while (std::chrono::steady_clock::now() < end);
        return frames;
    }

  private:
    std::vector<ReceiveRing> rings_;
};

} // namespace

PYBIND11_MODULE(_ring_sink, m) {
    m.doc() = "Guests that swallow what they get, for the benchmark";
    py::class_<Sink>(m, "Sink")
        .def(py::init<const std::vector<std::uintptr_t>&, std::uint16_t, std::size_t, std::size_t>(), py::kw_only(),
             py::arg("memories"), py::arg("size"), py::arg("available_offset"), py::arg("used_offset"))
        .def("serve", &Sink::serve, py::arg("milliseconds"), py::call_guard<py::gil_scoped_release>(),
             "Swallow frames for a while; returns how many came.");
}
