// SPDX-License-Identifier: BSD-3-Clause
// The frames that the generator makes and the verifying guest proves, byte by byte.
//
// Ethernet, IPv4 and UDP to port 9 (discard), between addresses of RFC 2544's benchmark network, then:
//   bytes 42..43  stream        (which generator queue)
//   bytes 44..51  sequence      (from 0, without gaps, per stream)
//   bytes 52..59  TSC time stamp when the frame was made
//   bytes 60..    pattern: 64-bit words, word i = mix(stream, sequence) + i * step; the last one cut off at
//   the frame's end
// Numbers of the payload are in the host's byte order: both ends run on one host.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

namespace datapath::frame {

inline constexpr std::uint32_t header_bytes = sizeof(rte_ether_hdr) + sizeof(rte_ipv4_hdr) + sizeof(rte_udp_hdr);
inline constexpr std::uint32_t stream_offset = header_bytes;
inline constexpr std::uint32_t sequence_offset = stream_offset + 2;
inline constexpr std::uint32_t stamp_offset = sequence_offset + 8;
inline constexpr std::uint32_t pattern_offset = stamp_offset + 8;
inline constexpr std::uint32_t min_bytes = pattern_offset;
static_assert(min_bytes == RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN);

inline constexpr std::uint16_t udp_port = 9;
inline constexpr std::uint64_t pattern_step = 0x9e3779b97f4a7c15;

using Header = std::array<std::uint8_t, header_bytes>;

struct Tag {
    std::uint16_t stream = 0;
    std::uint64_t sequence = 0;
    std::uint64_t stamp = 0;
};

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): neighbouring sequence numbers give unlike patterns.
inline std::uint64_t mix(std::uint16_t stream, std::uint64_t sequence) {
    std::uint64_t z = sequence + (static_cast<std::uint64_t>(stream) << 48) + pattern_step;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// Headers of a frame of `size` bytes (without FCS), checksum and all.
inline Header make_header(std::uint32_t size, const rte_ether_addr& source, const rte_ether_addr& destination,
                          std::uint16_t stream) {
    rte_ether_hdr ethernet{};
    ethernet.src_addr = source;
    ethernet.dst_addr = destination;
    ethernet.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    rte_ipv4_hdr ip{};
    ip.version_ihl = 0x45;
    ip.total_length = rte_cpu_to_be_16(static_cast<std::uint16_t>(size - sizeof(ethernet)));
    ip.time_to_live = 64;
    ip.next_proto_id = 17; // UDP
    ip.src_addr = rte_cpu_to_be_32(0xc6120001);
    ip.dst_addr = rte_cpu_to_be_32(0xc6120002);
    ip.hdr_checksum = rte_ipv4_cksum(&ip);
    rte_udp_hdr udp{};
    udp.src_port = rte_cpu_to_be_16(static_cast<std::uint16_t>(49152 + stream % 16384));
    udp.dst_port = rte_cpu_to_be_16(udp_port);
    udp.dgram_len = rte_cpu_to_be_16(static_cast<std::uint16_t>(size - sizeof(ethernet) - sizeof(ip)));
    Header header;
    std::memcpy(header.data(), &ethernet, sizeof(ethernet));
    std::memcpy(header.data() + sizeof(ethernet), &ip, sizeof(ip));
    std::memcpy(header.data() + sizeof(ethernet) + sizeof(ip), &udp, sizeof(udp));
    return header;
}

inline void write_pattern(std::uint8_t* frame, std::uint32_t size, const Tag& tag) {
    std::uint64_t word = mix(tag.stream, tag.sequence);
    std::uint32_t at = pattern_offset;
    for (; at + sizeof(word) <= size; at += sizeof(word), word += pattern_step) {
        std::memcpy(frame + at, &word, sizeof(word));
    }
    std::memcpy(frame + at, &word, size - at);
}

// `size` >= min_bytes. Without `pattern` the payload behind the tag keeps what was there.
inline void write(std::uint8_t* frame, std::uint32_t size, const Header& header, const Tag& tag, bool pattern) {
    std::memcpy(frame, header.data(), header.size());
    std::memcpy(frame + stream_offset, &tag.stream, sizeof(tag.stream));
    std::memcpy(frame + sequence_offset, &tag.sequence, sizeof(tag.sequence));
    std::memcpy(frame + stamp_offset, &tag.stamp, sizeof(tag.stamp));
    if (pattern) {
        write_pattern(frame, size, tag);
    }
}

// Is this one of ours? `size` contiguous bytes.
inline bool recognise(const std::uint8_t* frame, std::uint32_t size, Tag& tag) {
    if (size < min_bytes) {
        return false;
    }
    rte_ether_hdr ethernet;
    rte_ipv4_hdr ip;
    rte_udp_hdr udp;
    std::memcpy(&ethernet, frame, sizeof(ethernet));
    std::memcpy(&ip, frame + sizeof(ethernet), sizeof(ip));
    std::memcpy(&udp, frame + sizeof(ethernet) + sizeof(ip), sizeof(udp));
    if (ethernet.ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || ip.version_ihl != 0x45 ||
        ip.next_proto_id != 17 || udp.dst_port != rte_cpu_to_be_16(udp_port)) {
        return false;
    }
    std::memcpy(&tag.stream, frame + stream_offset, sizeof(tag.stream));
    std::memcpy(&tag.sequence, frame + sequence_offset, sizeof(tag.sequence));
    std::memcpy(&tag.stamp, frame + stamp_offset, sizeof(tag.stamp));
    return true;
}

// Are the lengths, the IPv4 checksum and every byte of the pattern right? For a frame that recognise() took.
inline bool intact(const std::uint8_t* frame, std::uint32_t size, const Tag& tag) {
    rte_ipv4_hdr ip;
    rte_udp_hdr udp;
    std::memcpy(&ip, frame + sizeof(rte_ether_hdr), sizeof(ip));
    std::memcpy(&udp, frame + sizeof(rte_ether_hdr) + sizeof(ip), sizeof(udp));
    if (rte_be_to_cpu_16(ip.total_length) != size - sizeof(rte_ether_hdr) ||
        rte_be_to_cpu_16(udp.dgram_len) != size - sizeof(rte_ether_hdr) - sizeof(ip) ||
        rte_raw_cksum(&ip, sizeof(ip)) != 0xffff) {
        return false;
    }
    std::uint64_t word = mix(tag.stream, tag.sequence);
    std::uint64_t differences = 0;
    std::uint32_t at = pattern_offset;
    for (; at + sizeof(word) <= size; at += sizeof(word), word += pattern_step) {
        std::uint64_t found;
        std::memcpy(&found, frame + at, sizeof(found));
        differences |= found ^ word;
    }
    return differences == 0 && std::memcmp(frame + at, &word, size - at) == 0;
}

} // namespace datapath::frame
