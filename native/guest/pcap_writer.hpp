// SPDX-License-Identifier: BSD-3-Clause
// Writes what arrived to a pcap file: classic format, nanosecond time stamps, Ethernet.
//
// The file holds whole records only, whatever happens: they are gathered in a buffer and written together,
// and after an error (a full disk) the file is cut back to what was written before, and nothing more is
// written. For one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rte_mbuf.h>

namespace guest {

class PcapWriter {
  public:
    // Makes the file, or empties it. Throws Error when it cannot.
    explicit PcapWriter(const std::string& path);
    ~PcapWriter();
    PcapWriter(const PcapWriter&) = delete;
    PcapWriter& operator=(const PcapWriter&) = delete;

    // Frames that arrived together, now.
    void write(rte_mbuf* const* packets, std::uint16_t count);
    // Brings everything to the file.
    void flush();

    // Frames in the file.
    [[nodiscard]] std::uint64_t written() const { return written_; }
    // Frames that came after an error, or got lost in it.
    [[nodiscard]] std::uint64_t missed() const { return missed_; }
    // errno of the error that ended the writing; 0: none.
    [[nodiscard]] int error_number() const { return error_number_; }

  private:
    static constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
    static constexpr std::uint32_t snap_bytes = 65535;

    void append(const rte_mbuf* packet, std::uint32_t seconds, std::uint32_t nanoseconds);
    void put(const void* data, std::size_t bytes);
    [[nodiscard]] int write_buffer() const;

    int file_;
    std::vector<char> buffer_;
    std::uint64_t buffered_ = 0; // frames in the buffer
    std::int64_t file_bytes_ = 0;
    std::uint64_t written_ = 0;
    std::uint64_t missed_ = 0;
    int error_number_ = 0;
};

} // namespace guest
