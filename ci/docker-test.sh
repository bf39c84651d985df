#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Builds the images and runs a datapath and its guest in two containers, as ordinary users without capabilities, network
# or hugepages: a million frames, each verified.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

frames=1000000
limit_s=180

usage() {
    cat <<USAGE
usage: ci/docker-test.sh [--tests]

  --tests   also runs the image's own tests, see the stage \`test\` of docker/Dockerfile

Uses docker, or podman where no docker daemon answers. CONTAINER_TOOL chooses one; BASE is the image to build upon
(default debian:bookworm); CA_CERTIFICATES a file of CA certificates that pip shall trust while images are built.
USAGE
}

tests_wanted=false
for argument in "$@"; do
    case $argument in
        --tests) tests_wanted=true ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

find_tool() {
    local candidate
    for candidate in ${CONTAINER_TOOL:-docker podman}; do
        if "$candidate" info >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    die "neither a docker daemon nor podman answers; on Debian: apt-get install podman"
}

tool=$(find_tool)
base=${BASE:-debian:bookworm}
name=pydpdk-defer-test-$$
volume=$name
scratch=$(mktemp -d)

cleanup() {
    "$tool" rm -f "$name-datapath" "$name-guest" >/dev/null 2>&1 || true
    "$tool" volume rm -f "$volume" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# build TARGET TAG
build() {
    local arguments=(--build-arg "BASE=$base" --target "$1" --tag "$2" --file "$root/docker/Dockerfile")
    # OCI images have no health check, and RUN needs no more than a chroot.
    if [[ $tool == podman ]]; then arguments+=(--format docker --isolation chroot); fi
    if [[ -n ${CA_CERTIFICATES:-} ]]; then arguments+=(--secret "id=ca,src=$CA_CERTIFICATES"); fi
    say "building the stage $1"
    "$tool" build "${arguments[@]}" "$root" >"$scratch/build.log" 2>&1 || {
        tail -n 40 "$scratch/build.log" >&2
        die "the stage $1 cannot be built"
    }
}

# contain CONTAINER IMAGE ARGUMENT... : as docker/compose.yaml does in its profile `plain`
contain() {
    local container=$1 image=$2
    shift 2
    "$tool" run --detach --name "$container" --no-healthcheck --network none --cap-drop ALL --security-opt no-new-privileges \
        --volume "$volume:/run/defer" --volume "$root/docker/generator-to-vm.toml:/etc/pydpdk-defer/topology.toml:ro" \
        "$image" "$@" >/dev/null
}

build runtime pydpdk-defer
say "the image has $("$tool" image inspect --format '{{.Size}}' pydpdk-defer | numfmt --to=si)B"
"$tool" run --rm --no-healthcheck pydpdk-defer --version
if "$tool" run --rm --no-healthcheck --entrypoint sh pydpdk-defer -c 'command -v c++ gcc cc'; then
    die "the image has a compiler"
fi

"$tool" volume create "$volume" >/dev/null
say "a datapath and a guest in two containers: $frames frames"
contain "$name-datapath" pydpdk-defer run /etc/pydpdk-defer/topology.toml \
    --wait-guest 60 --packets "$frames" --interval 2 --json /tmp/run.json
contain "$name-guest" pydpdk-defer guest /run/defer/vm0.sock --role verify --from-start --packets "$frames" \
    --virtio queue_size=16384 --core 0 --connect-timeout 60 --duration "$limit_s" --json /tmp/guest.json

# As the health check does.
healthy=false
for ((waited = 0; waited < 30; waited++)); do
    if "$tool" exec "$name-datapath" pydpdk-defer pmd-perf-show >/dev/null 2>&1; then
        healthy=true
        break
    fi
    sleep 1
done
status_of() { "$tool" container inspect --format '{{.State.ExitCode}}' "$1"; }
wait_for() { timeout "$limit_s" "$tool" wait "$1" >/dev/null || die "$1 does not end: $("$tool" logs "$1" 2>&1)"; }
wait_for "$name-datapath"
wait_for "$name-guest"
for container in "$name-datapath" "$name-guest"; do
    say "what $container said"
    "$tool" logs "$container" 2>&1
    [[ $(status_of "$container") == 0 ]] || die "$container ended with status $(status_of "$container")"
done
$healthy || die "the health check never found the datapath"
"$tool" cp "$name-guest:/tmp/guest.json" "$scratch/guest.json"
# Its status says already that none was corrupt, lost, out of order or twice.
grep -q "\"received\": $frames\b" "$scratch/guest.json" || die "not all arrived: $(<"$scratch/guest.json")"
say "$frames frames arrived, each once, in order and right"

if $tests_wanted; then
    build test pydpdk-defer-test
    say "the image's own tests"
    "$tool" run --rm --no-healthcheck pydpdk-defer-test
fi
