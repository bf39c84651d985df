// SPDX-License-Identifier: BSD-3-Clause
// Writes what arrived to a pcap file.
#include "guest/pcap_writer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

#include "dpdk/error.hpp"

namespace guest {
namespace {

struct FileHeader {
    std::uint32_t magic = 0xa1b23c4d; // in this host's byte order; says that times are in nanoseconds
    std::uint16_t version_major = 2;
    std::uint16_t version_minor = 4;
    std::uint32_t time_zone = 0;
    std::uint32_t accuracy = 0;
    std::uint32_t snap_bytes = 65535;
    std::uint32_t link_type = 1; // Ethernet
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
    std::uint32_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    std::uint32_t captured_bytes = 0;
    std::uint32_t frame_bytes = 0;
};
static_assert(sizeof(RecordHeader) == 16);

} // namespace

PcapWriter::PcapWriter(const std::string& path)
    : file_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
    if (file_ < 0) {
        throw dpdk::Error(dpdk::ErrorKind::port, errno, "cannot write '" + path + "': " + std::strerror(errno),
                          "give --pcap a path in a folder that you may write");
    }
    buffer_.reserve(buffer_bytes);
    const FileHeader header;
    put(&header, sizeof(header));
    flush();
}

PcapWriter::~PcapWriter() {
    flush();
    close(file_);
}

void PcapWriter::write(rte_mbuf* const* packets, std::uint16_t count) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    for (std::uint16_t i = 0; i < count; ++i) {
        append(packets[i], static_cast<std::uint32_t>(now.tv_sec), static_cast<std::uint32_t>(now.tv_nsec));
    }
}

void PcapWriter::append(const rte_mbuf* packet, std::uint32_t seconds, std::uint32_t nanoseconds) {
    if (buffer_.size() + sizeof(RecordHeader) + snap_bytes > buffer_bytes) {
        flush();
    }
    if (error_number_ != 0) {
        ++missed_;
        return;
    }
    std::uint32_t left = std::min(packet->pkt_len, snap_bytes);
    const RecordHeader header{
        .seconds = seconds, .nanoseconds = nanoseconds, .captured_bytes = left, .frame_bytes = packet->pkt_len};
    put(&header, sizeof(header));
    for (const rte_mbuf* segment = packet; segment != nullptr && left > 0; segment = segment->next) {
        const std::uint32_t bytes = std::min<std::uint32_t>(segment->data_len, left);
        put(rte_pktmbuf_mtod(segment, const char*), bytes);
        left -= bytes;
    }
    ++buffered_;
}

void PcapWriter::put(const void* data, std::size_t bytes) {
    const char* first = static_cast<const char*>(data);
    buffer_.insert(buffer_.end(), first, first + bytes);
}

void PcapWriter::flush() {
    if (buffer_.empty()) {
        return;
    }
    error_number_ = write_buffer();
    if (error_number_ == 0) {
        file_bytes_ += static_cast<std::int64_t>(buffer_.size());
        written_ += buffered_;
    } else {
        missed_ += buffered_;
        // A pipe or a device cannot be cut, and need not be.
        [[maybe_unused]] const int cut = ftruncate(file_, file_bytes_);
    }
    buffer_.clear();
    buffered_ = 0;
}

int PcapWriter::write_buffer() const {
    for (std::size_t done = 0; done < buffer_.size();) {
        const ssize_t bytes = ::write(file_, buffer_.data() + done, buffer_.size() - done);
        if (bytes > 0) {
            done += static_cast<std::size_t>(bytes);
        } else if (bytes == 0 || errno != EINTR) {
            return bytes == 0 ? EIO : errno;
        }
    }
    return 0;
}

} // namespace guest
