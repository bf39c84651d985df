#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What the scripts of this folder share: the project's root, the package lists, a few helpers. Sourced, not run.
# shellcheck disable=SC2034  # the names are used where this is sourced
set -euo pipefail
shopt -s inherit_errexit

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv

dpdk_wanted='libdpdk >= 22.11'
dpdk_packages=(libdpdk-dev dpdk dpdk-dev)
python_packages=(python3 python3-dev python3-venv)
build_packages=(g++ pkgconf cmake ninja-build libnuma-dev libpcap-dev git util-linux)
test_packages=(tcpdump iproute2 procps libgtest-dev shellcheck)
full_packages=(clang libclang-rt-dev chromium)
bench_packages=(libbenchmark-dev valgrind)

# Progress goes to stderr: stdout belongs to the figures and the test reports.
say() { printf '== %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# retry COMMAND... : three attempts, for what depends on a network
retry() {
    local attempt
    for attempt in 1 2 3; do
        if "$@"; then return 0; fi
        if ((attempt < 3)); then
            say "trying again: $1 ${2:-}"
            sleep $((attempt * 5))
        fi
    done
    return 1
}

is_root() { [[ $(id -u) -eq 0 ]]; }

has_package() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

has_dpdk() { pkg-config --exists "$dpdk_wanted" 2>/dev/null; }

# Debian 12 or newer; testing and unstable carry no VERSION_ID.
is_supported_debian() {
    local id version
    [[ -r /etc/os-release ]] && command -v dpkg-query >/dev/null || return 1
    id=$(. /etc/os-release && printf '%s' "$ID")
    version=$(. /etc/os-release && printf '%s' "${VERSION_ID:-99}")
    [[ $id == debian && ${version%%.*} -ge 12 ]]
}

is_python_311() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The interpreter that .venv is made from: $PYTHON, else the system's (anybody may run that one), else the first on PATH.
find_python() {
    local candidate
    if [[ -n ${PYTHON:-} ]]; then
        is_python_311 "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.11 or newer"
        command -v "$PYTHON"
        return
    fi
    for candidate in /usr/bin/python3 python3; do
        if is_python_311 "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python 3.11 or newer found; name one with PYTHON=/path/to/python3"
}
