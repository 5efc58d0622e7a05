#!/usr/bin/env bash
# Proves the Dockerfile without an engine: its steps are carried out in a fresh root file
# system, then the images are run as compose.yaml runs them, in a network of their own.
#   deploy/test/image.sh [ROOT]     as root; needs debootstrap, unshare, curl, iproute2
# ROOT is a Debian that holds python3-venv, and stands for the image of the first FROM; it
# is copied. Without it, debootstrap makes one: trixie, whose Python is that of the image.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)

say() { printf '=== %4d s  %s\n' "$SECONDS" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

outside() {
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    if [[ -n ${1:-} ]]; then
        cp -a "$1" "$work/root"
    else
        debootstrap --variant=minbase --include=python3-venv,ca-certificates \
            trixie "$work/root"
    fi
    # python and pip are in /usr/local, as in the official image
    chroot "$work/root" python3 -m venv /usr/local
    say "root file system: $(chroot "$work/root" python --version)"
    python3 "$here/dockerfile.py" build "$source" "$work/root" "$work"
    say "images: service $(size service), bluesky $(size bluesky), the root $(size root)"
    unshare --mount --net --pid --fork --kill-child --mount-proc "$0" --inside "$work"
}

size() { du -sm "$work/$1" | sed 's/\s.*/ MB/'; }

prepare() {
    ip link set lo up
    echo "127.0.0.1 localhost simulator service tiled" > "$work/hosts"
    mkdir "$work/volumes" "$work"/volumes/{data,state,catalog,cache,other}
    chown 1000:1000 "$work"/volumes/*
    service=$work/service bluesky=$work/bluesky volumes=$work/volumes
    # container OPTION... STAGE WORD...: starts it as an engine would
    container=(python3 "$here/dockerfile.py" run -v "$work/hosts:/etc/hosts:ro")
}

answers() { # answers URL: wait for it
    for _ in {1..600}; do
        if curl -sf -o /dev/null "$1"; then return; fi
        sleep 0.2
    done
    tail -n 30 "$work"/*.log
    fail "$1 does not answer"
}

stop() { # stop NAME PID: SIGTERM for process 1 of it, which has to exit with 0
    local status=0
    kill -TERM "$(ps -o pid= --ppid "$2")"
    wait "$2" || status=$?
    [[ $status -eq 0 ]] || { tail -n 30 "$work/$1.log"; fail "$1: exit code $status"; }
    say "$1: SIGTERM, exit code 0"
}

together() { # what compose.yaml starts
    local compose=$source/deploy/compose/simulated page=http://127.0.0.1:5000
    local simulator receiver tiled
    "${container[@]}" "$service" > "$work/list.log"
    say "service: its default command lists $(grep -c . "$work/list.log") lines of detectors"
    "${container[@]}" "$service" simulate eiger --host 0.0.0.0 --control-port 8080 \
        --stream-port 9999 > "$work/simulator.log" 2>&1 &
    simulator=$!
    "${container[@]}" -v "$compose/detectors.yaml:/etc/srx/detectors.yaml:ro" \
        -v "$volumes/state:/state" -v "$volumes/data:/data" \
        "$service" run /etc/srx/detectors.yaml eiger > "$work/service.log" 2>&1 &
    receiver=$!
    "${container[@]}" -v "$compose/tiled.yml:/etc/tiled.yml:ro" \
        -v "$volumes/catalog:/state" -v "$volumes/data:/data:ro" \
        -e TILED_SINGLE_USER_API_KEY=secret "$bluesky" \
        tiled serve config /etc/tiled.yml --host 0.0.0.0 --port 8000 \
        > "$work/tiled.log" 2>&1 &
    tiled=$!
    answers "$page/readyz"
    "${container[@]}" --health "$service" || fail "the health check of a service that is well"
    say "service: ready, and the health check agrees"
    [[ $(ps -o uid= --ppid "$receiver") -eq 1000 ]] || fail "service: not user 1000"
    curl -sf "$page/" | grep -i '<html' > /dev/null || fail "no page at /"
    say "service: user 1000, the page is at /"
    answers http://127.0.0.1:8000/api/v1/
    "${container[@]}" -v "$source/examples:/examples:ro" -v "$volumes/data:/data:ro" \
        -e TILED_API_KEY=secret "$bluesky" python /examples/step_scan.py \
        http://service:5000 http://simulator:8080 /data http://tiled:8000 || fail "the scan"
    curl -sf "$page/status" > "$work/status.json"
    [[ $(curl -sf "$page/received_frames") == '{"value":5}' ]] ||
        fail "not 5 frames received: $(< "$work/status.json")"
    say "scan: 5 frames received, in $(cd "$volumes/data" && find . -name '*.h5')"
    say "service: $(grep -o '"state":.*"messages":[0-9]*' "$work/status.json")"
    stop service "$receiver"
    ! "${container[@]}" --health "$service" 2> /dev/null || fail "health without service"
    say "service: gone, and the health check says so"
    stop simulator "$simulator"
    stop tiled "$tiled"
}

pipeline() { # an entry whose pipeline numba compiles, without its cache and with it
    local status=0 entry=formax-orca receiver
    local words=("$service" run /etc/srx/detectors.yaml "$entry")
    local options=(-v "$volumes/other:/state" -v "$volumes/data:/data")
    "${container[@]}" "${options[@]}" "${words[@]}" > "$work/refused.log" 2>&1 || status=$?
    if [[ $status -ne 2 ]] || ! grep -q 'user 1000 cannot write to /cache' "$work/refused.log"
    then
        fail "without a cache: exit code $status, $(cat "$work/refused.log")"
    fi
    say "$entry without /cache: exit code 2, $(tail -n 1 "$work/refused.log")"
    "${container[@]}" "${options[@]}" -v "$volumes/cache:/cache" "${words[@]}" \
        > "$work/pipeline.log" 2>&1 &
    receiver=$!
    answers http://127.0.0.1:5000/readyz
    [[ -n $(find "$volumes/cache" -type f) ]] || fail "nothing in numba's cache"
    say "$entry with /cache: ready, $(find "$volumes/cache" -type f | wc -l) files kept there"
    stop pipeline "$receiver"
}

if [[ ${1:-} == --inside ]]; then
    work=$2
    prepare
    together
    pipeline
    say "all well"
else
    outside "$@"
fi
