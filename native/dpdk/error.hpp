// SPDX-License-Identifier: BSD-3-Clause
// The one exception of the control path: what failed, its errno, and what to do about it.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace dpdk {

enum class ErrorKind { eal, dma, vhost, port };

class Error : public std::runtime_error {
  public:
    Error(ErrorKind kind, int error_number, const std::string& what, std::string hint = {})
        : std::runtime_error(what)
        , kind_(kind)
        , errno_(error_number)
        , hint_(std::move(hint)) {}

    [[nodiscard]] ErrorKind kind() const { return kind_; }
    [[nodiscard]] int error_number() const { return errno_; }
    [[nodiscard]] const std::string& hint() const { return hint_; }

  private:
    ErrorKind kind_;
    int errno_;
    std::string hint_;
};

} // namespace dpdk
