// SPDX-License-Identifier: BSD-3-Clause
// A vhost-user socket registered with librte_vhost.
//
// vhost calls back with a device id only. The id leads to the socket's path, the path to the port.
#include "dpdk/vhost_socket.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "dpdk/error.hpp"
#include "dpdk/log.hpp"
#include "dpdk/vhost_messages.hpp"

namespace dpdk {
namespace {

// Held only to look up or change the map: never while vhost is called, never while waiting.
std::mutex ports_mutex;
std::map<std::string, VhostEvents*>& ports() {
    static auto* instance = new std::map<std::string, VhostEvents*>;
    return *instance;
}

int on_new_device(int vid) {
    auto* port = events_of(vid);
    return port != nullptr && port->device_ready(vid) ? 0 : -1;
}

void on_destroy_device(int vid) {
    if (auto* port = events_of(vid); port != nullptr) {
        port->device_gone(vid);
    }
}

int on_vring_state_changed(int vid, uint16_t vring, int enable) {
    if (auto* port = events_of(vid); port != nullptr) {
        port->vring_changed(vid, vring, enable != 0, effect_of_current_message());
    }
    return 0;
}

// Releases before 22.11.8 call these without a look at whether they are set.
int on_features_changed(int /*vid*/, uint64_t /*features*/) {
    return 0;
}
int on_new_connection(int vid) {
    return guard_messages(vid);
}
void on_destroy_connection(int vid) {
    const bool refused = last_message_was_refused(vid);
    if (auto* port = events_of(vid); port != nullptr) {
        port->connection_closed(vid, refused);
    }
}
void on_guest_notified(int /*vid*/) {
}

const rte_vhost_device_ops& device_ops() {
    static const rte_vhost_device_ops ops = [] {
        rte_vhost_device_ops all{};
        all.new_device = on_new_device;
        all.destroy_device = on_destroy_device;
        all.vring_state_changed = on_vring_state_changed;
        all.features_changed = on_features_changed;
        all.new_connection = on_new_connection;
        all.destroy_connection = on_destroy_connection;
        all.guest_notified = on_guest_notified;
        return all;
    }();
    return ops;
}

// Bits of struct virtio_net's features, virtio 1.2 section 5.1.3 (linux/virtio_net.h is no C++).
enum VirtioNetFeature : unsigned {
    csum = 0,
    guest_csum = 1,
    guest_tso4 = 7,
    guest_tso6 = 8,
    guest_ecn = 9,
    guest_ufo = 10,
    host_tso4 = 11,
    host_tso6 = 12,
    host_ecn = 13,
    host_ufo = 14,
};

// Checksum and segmentation offload towards either side would make packets leave whose checksums nobody has
// computed.
constexpr std::uint64_t refused_features =
    (1ULL << csum) | (1ULL << guest_csum) | (1ULL << guest_tso4) | (1ULL << guest_tso6) | (1ULL << guest_ecn) |
    (1ULL << guest_ufo) | (1ULL << host_tso4) | (1ULL << host_tso6) | (1ULL << host_ecn) | (1ULL << host_ufo);

enum class SocketFile { none, stale, alive, other };

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    return address;
}

SocketFile look_at(const std::string& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) {
        return SocketFile::none;
    }
    const int fd = S_ISSOCK(status.st_mode) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0) {
        return SocketFile::other;
    }
    sockaddr_un address = address_of(path);
    const int result = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    const bool refused = result != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused ? SocketFile::stale : SocketFile::alive;
}

// A socket file that nobody listens on is what a killed process left; bind would fail on it for ever. One that somebody
// listens on must not even be tried: when librte_vhost fails to bind it removes the other's file.
void make_way(const std::string& port_name, const std::string& path) {
    switch (look_at(path)) {
    case SocketFile::stale:
        unlink(path.c_str());
        log::tell(log::Level::info, "port " + port_name + ": removed the stale socket " + path);
        break;
    case SocketFile::alive:
        throw Error(ErrorKind::vhost, EADDRINUSE,
                    "port." + port_name + ".socket: another process listens on '" + path + "'",
                    "end that process, or choose another path");
    case SocketFile::none:
    case SocketFile::other:
        break;
    }
}

// Whether a step that needs file descriptors can have failed for want of them. vhost makes a pipe besides its socket.
bool out_of_descriptors() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return errno == EMFILE || errno == ENFILE;
    }
    ::close(fds[0]);
    ::close(fds[1]);
    return false;
}

// The error of a server's bind, which vhost keeps to itself; 0: there is none.
int try_to_bind(const std::string& path) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    sockaddr_un address = address_of(path);
    const int error_number = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 ? 0 : errno;
    ::close(fd);
    if (error_number == 0) {
        unlink(path.c_str());
    }
    return error_number;
}

// With CONFIGURE_MEM_SLOTS a guest may remove memory by REM_MEM_REG, which vhost unmaps without a callback, while DMA
// still writes there. DPDK offers it from 26.07 on.
void offer_no_memory_slots(const std::string& path) {
    constexpr std::uint64_t configure_mem_slots = 1ULL << 15; // vhost-user protocol, "Protocol features"
    std::uint64_t features = 0;
    if (rte_vhost_driver_get_protocol_features(path.c_str(), &features) == 0) {
        (void)rte_vhost_driver_set_protocol_features(path.c_str(), features & ~configure_mem_slots);
    }
}

[[noreturn]] void fail_for_want_of_descriptors(const std::string& port_name, const std::string& path) {
    throw Error(ErrorKind::vhost, EMFILE,
                "port." + port_name + ".socket: no file descriptor is left for '" + path + "'",
                "allow this process more open files: raise ulimit -n");
}

[[noreturn]] void fail(const std::string& port_name, const std::string& path, const char* step, const char* hint) {
    std::string text = "port." + port_name + ".socket: " + step + " of '" + path + "' failed";
    for (const auto& line : log::last_lines(2)) {
        text += "\n  " + line;
    }
    throw Error(ErrorKind::vhost, EIO, text, hint);
}

} // namespace

VhostEvents* events_of(int vid) {
    char path[PATH_MAX] = {};
    if (rte_vhost_get_ifname(vid, path, sizeof(path)) != 0) {
        return nullptr;
    }
    const std::lock_guard lock(ports_mutex);
    const auto found = ports().find(path);
    return found == ports().end() ? nullptr : found->second;
}

VhostSocket::VhostSocket(std::string port_name, const Options& options, VhostEvents& events)
    : path_(options.path) {
    if (!options.client) {
        make_way(port_name, path_);
    }
    std::uint64_t flags = RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
    if (options.counters) {
        flags |= RTE_VHOST_USER_NET_STATS_ENABLE;
    }
    if (options.client) {
        flags |= RTE_VHOST_USER_CLIENT;
    }
    if (options.async) {
        flags |= RTE_VHOST_USER_ASYNC_COPY;
    }
    if (rte_vhost_driver_register(path_.c_str(), flags) != 0) {
        if (out_of_descriptors()) {
            fail_for_want_of_descriptors(port_name, path_);
        }
        fail(port_name, path_, "registration", "is another port using this socket?");
    }
    registered_ = true;
    {
        const std::lock_guard lock(ports_mutex);
        ports()[path_] = &events;
    }
    offer_no_memory_slots(path_);
    if (rte_vhost_driver_disable_features(path_.c_str(), refused_features) != 0 ||
        rte_vhost_driver_callback_register(path_.c_str(), &device_ops()) != 0 ||
        rte_vhost_driver_start(path_.c_str()) != 0) {
        const bool no_descriptors = out_of_descriptors(); // before some are free again
        close();
        if (no_descriptors) {
            fail_for_want_of_descriptors(port_name, path_);
        }
        if (const int error_number = options.client ? 0 : try_to_bind(path_); error_number != 0) {
            throw Error(ErrorKind::vhost, error_number,
                        "port." + port_name + ".socket: no socket can be made at '" + path_ +
                            "': " + std::strerror(error_number),
                        "choose a path in a folder where this user can make files, such as /tmp");
        }
        fail(port_name, path_, "start", "see the lines above");
    }
}

VhostSocket::~VhostSocket() {
    close();
}

void VhostSocket::close() {
    if (!registered_) {
        return;
    }
    registered_ = false;
    rte_vhost_driver_unregister(path_.c_str());
    const std::lock_guard lock(ports_mutex);
    ports().erase(path_);
}

} // namespace dpdk
