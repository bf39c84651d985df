// SPDX-License-Identifier: BSD-3-Clause
// libFuzzer's way into the differential test of the engine.
#include <cstdio>
#include <cstdlib>

#include "differential.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (const std::string fault = native_tests::Differential({data, size}).run(); !fault.empty()) {
        std::fprintf(stderr, "engine and model differ:%s\n", fault.c_str());
        std::abort();
    }
    return 0;
}
