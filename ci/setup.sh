#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Installs what is missing and builds the package into .venv. Safe to call again, quick when nothing changed.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'USAGE'
usage: ci/setup.sh [--test | --full | --bench | --refresh-constraints]

  --test    also what the checks and the tests need; compiler warnings are errors
  --full    and what only `ci/test.sh --full` needs: clang for the fuzzer, Chromium
  --bench   and what ci/bench.sh needs
  --refresh-constraints
            take the newest Python packages that pyproject.toml allows, and write their versions to
            ci/constraints.txt, which all other calls install from

PYTHON=/path/to/python3 chooses the interpreter (3.11 or newer) that .venv is made from.
USAGE
}

test_wanted=false
full_wanted=false
bench_wanted=false
refresh_wanted=false
for argument in "$@"; do
    case $argument in
        --test) test_wanted=true ;;
        --full) test_wanted=true full_wanted=true ;;
        --bench) test_wanted=true bench_wanted=true ;;
        --refresh-constraints) test_wanted=true refresh_wanted=true ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

cd "$root"
log=$root/build/setup.log
stamp=$venv/pydpdk_defer.stamp
constraints=$root/ci/constraints.txt

install_debian_packages() {
    local wanted=("${build_packages[@]}") missing=() package
    # A DPDK or a Python of one's own takes the place of Debian's.
    if ! has_dpdk || has_package libdpdk-dev; then wanted+=("${dpdk_packages[@]}"); fi
    if [[ -z ${PYTHON:-} ]]; then wanted+=("${python_packages[@]}"); fi
    if $test_wanted; then wanted+=("${test_packages[@]}"); fi
    if $full_wanted; then wanted+=("${full_packages[@]}"); fi
    if $bench_wanted; then wanted+=("${bench_packages[@]}"); fi
    for package in "${wanted[@]}"; do
        has_package "$package" || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    if ! is_root; then
        say "system packages are missing; install them, then call this again:"
        echo "sudo apt-get install --no-install-recommends ${missing[*]}"
        exit 1
    fi
    say "installing ${missing[*]}"
    retry apt_get update || die "apt-get update failed"
    retry apt_get install -y --no-install-recommends "${missing[@]}" || die "apt-get install failed"
}

# Quiet unless it fails. Descriptor 9, the lock, is closed: a package may start a daemon.
apt_get() {
    local output
    if ! output=$(DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null 9>&-); then
        printf '%s\n' "$output" >&2
        return 1
    fi
}

check_other_system() {
    local missing=() tool
    for tool in c++ cmake ninja pkg-config; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    has_dpdk || missing+=("DPDK 22.11 or newer with its headers (pkg-config must know libdpdk; PKG_CONFIG_PATH helps)")
    [[ ${#missing[@]} -eq 0 ]] || die "this is not Debian 12 or newer, so install by hand: $(IFS=,; echo "${missing[*]}")"
}

interpreter_identity() { "$1" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null; }

# False for another interpreter's .venv, a half-made one, and one that was moved (its scripts name the old place).
venv_is_usable() {
    [[ -x $venv/bin/python && -f $venv/bin/pip ]] &&
        [[ $(interpreter_identity "$venv/bin/python") == "$(interpreter_identity "$python")" ]] &&
        grep -qF "$venv/bin/" "$venv/bin/pip"
}

# What the installed package depends on. The extras and the strictness are told apart by the caller.
fingerprint() {
    interpreter_identity "$python"
    pkg-config --modversion libdpdk
    pkg-config --variable=libdir libdpdk
    find native pydpdk_defer CMakeLists.txt pyproject.toml "$constraints" \
        -name __pycache__ -prune -o -type f ! -name '.*' ! -name '*~' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}

# The compiler's own words first: pip buries them above a traceback of its own.
show_failure() {
    local errors
    errors=$(grep -P -A 5 -m 20 'error: (?!subprocess-exited)|CMake Error|undefined reference' "$log") ||
        errors=$(grep '^ *ERROR: ' "$log") ||
        errors=$(tail -n 40 "$log")
    printf '%s\n' "$errors" >&2
    die "$1 failed; the whole log is in $log"
}

# What pyproject.toml asks for to build and to run, one requirement a line.
requirements() {
    "$venv/bin/python" - "$@" <<'PYTHON'
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
extras = project["project"]["optional-dependencies"]
print(*project["build-system"]["requires"], *project["project"]["dependencies"], sep="\n")
print(*(requirement for extra in sys.argv[1:] for requirement in extras[extra]), sep="\n")
PYTHON
}

# Packages from PyPI; nothing of the project's own, so that a retry repeats no compilation.
install_requirements() {
    local extras=(report) pinned=(-c "$constraints") listed
    if $with_extras; then extras=(report metrics test lint); fi
    if $refresh_wanted; then extras+=(bench) pinned=(--upgrade); fi
    listed=$(requirements "${extras[@]}")
    mapfile -t listed <<<"$listed"
    retry "$venv/bin/pip" install -v --disable-pip-version-check "${pinned[@]}" "${listed[@]}" >>"$log" 2>&1 ||
        show_failure "installing Python packages"
    if $refresh_wanted; then
        {
            echo "# The Python packages that CI installs. Written by ci/setup.sh --refresh-constraints; do not edit."
            "$venv/bin/pip" freeze --disable-pip-version-check --exclude pydpdk_defer
        } >"$constraints.new"
        mv "$constraints.new" "$constraints"
        say "wrote $constraints"
    fi
}

build() {
    local strict=OFF
    if $with_werror; then strict=ON; fi
    mkdir -p build
    : >"$log"
    rm -f "$stamp"
    if $refresh_wanted || ! venv_is_usable; then
        say "making .venv with $python"
        # A build folder remembers headers that lie in the .venv it was made with.
        rm -rf "$venv" build/cp3*-linux_*
        "$python" -m venv "$venv" >>"$log" 2>&1 || show_failure "making .venv"
    fi
    say "installing Python packages and building (log: build/setup.log)"
    install_requirements
    # ninja goes by dates, and a package's headers keep old ones: objects compiled against another DPDK must go.
    local dpdk
    dpdk=$(pkg-config --modversion libdpdk)
    if [[ -f build/dpdk-version && $(<build/dpdk-version) != "$dpdk" ]]; then rm -rf build/cp*; fi
    printf '%s\n' "$dpdk" >build/dpdk-version
    # Without pip's build isolation: its temporary folders would make every build a full one.
    CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} \
        "$venv/bin/pip" install -v --disable-pip-version-check --no-build-isolation --no-deps \
        --config-settings="cmake.define.PYDPDK_DEFER_WERROR=$strict" . >>"$log" 2>&1 || show_failure "the build"
    # A symbol that no library has shows only now.
    PYTHONSAFEPATH=1 "$venv/bin/python" -c 'import pydpdk_defer._native' ||
        die "pydpdk_defer was built, but cannot be imported"
}

# One at a time; the lock is the folder itself, so that nothing is left behind.
exec 9<"$root"
flock --nonblock 9 || { say "another setup is at work here: waiting for it"; flock 9; }

if is_supported_debian; then install_debian_packages; else check_other_system; fi
python=$(find_python)

# What an earlier call added stays: extras, and with them the strict build.
with_extras=$test_wanted
with_werror=$test_wanted
if [[ ${CI:-} == true ]]; then with_werror=true; fi
if [[ -f $stamp ]]; then
    if grep -qx extras "$stamp"; then with_extras=true; fi
    if grep -qx werror "$stamp"; then with_werror=true; fi
fi
stamp_content() {
    fingerprint | sha256sum
    if $with_extras; then echo extras; fi
    if $with_werror; then echo werror; fi
}

if ! $refresh_wanted && [[ -f $stamp && $(<"$stamp") == "$(stamp_content)" ]] && venv_is_usable; then
    say "nothing to do: .venv is up to date"
    exit 0
fi
for folder in "$root" "$venv" "$root/build"; do
    [[ ! -e $folder || -w $folder ]] || die "$folder is not writable for $(id -un); work in a clone of your own"
done
build
stamp_content >"$stamp"
say "pydpdk_defer is in .venv"
