#!/usr/bin/env bash
# Brings the programs that the tests start and that pip does not install: Prometheus with promtool, VictoriaMetrics,
# PgBouncer, and a browser, Chromium; and libfaketime, with which `make faults` sets clocks. Root gets them from the package manager. Everyone else gets the distribution's packages unpacked below
# .tools/, with the libraries that the system lacks. Does nothing where all of them run already.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")/.."

packages=(prometheus victoria-metrics pgbouncer chromium fonts-dejavu-core libfaketime)
programs=(prometheus promtool victoria-metrics pgbouncer chromium)
library=libfaketimeMT.so.1
tools=$PWD/.tools
# Debian's pgbouncer is in /usr/sbin. tests/servers/programs.py looks in the same places.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:$tools/bin

missing() { # prints the programs that are not there or do not run, and the library where it is not found
    local program
    for program in "${programs[@]}"; do
        "$program" --version >/dev/null 2>&1 || echo "$program"
    done
    # benchmarks/faults/clocks.py looks in the same places
    compgen -G "/usr/lib*/faketime/$library" >/dev/null || compgen -G "/usr/lib/*/faketime/$library" >/dev/null ||
        compgen -G "$tools/root/usr/lib/*/faketime/$library" >/dev/null || echo libfaketime
}

install_packages() {
    apt-get update -q || true # one broken source need not matter; apt-get install tells
    DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${packages[@]}"
}

missing_dependencies() { # prints the packages that $packages need to run and the system lacks
    local dependency
    apt-cache "$@" depends "${packages[@]}" | sed -nE 's/^ *\|?Depends: (lib.*|promtool)$/\1/p' | grep -v '^libjs-' |
        sort -u | while read -r dependency; do
        dpkg-query --show --showformat '${db:Status-Status}' "$dependency" 2>/dev/null | grep -q '^installed' ||
            echo "$dependency"
    done
}

unpack_packages() {
    local as_user folders package program
    # lists and cache of apt's own that need no root
    as_user=(-o "Dir::State=$tools/apt" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$tools/apt/cache")
    rm -rf "${tools:?}"/{apt,packages,root,bin} # and not Helm
    mkdir -p "$tools/apt/lists/partial" "$tools/apt/cache/archives/partial" "$tools/packages" "$tools/root" "$tools/bin"
    apt-get "${as_user[@]}" update -q || true
    { printf '%s\n' "${packages[@]}" && missing_dependencies "${as_user[@]}"; } |
        (cd "$tools/packages" && xargs apt-get "${as_user[@]}" download -q) || return 1
    for package in "$tools"/packages/*.deb; do
        dpkg-deb --extract "$package" "$tools/root" || return 1
    done
    folders=$(find "$tools/root" -name '*.so.[0-9]*' -printf '%h\n' | sort -u | paste -sd :)
    for program in "${programs[@]}"; do
        # shellcheck disable=SC2016 # for the shell that runs the wrapper
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%q${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec %q "$@"\n' \
            "$folders" "$(find "$tools"/root/usr/{bin,sbin} -name "$program")" >"$tools/bin/$program"
        chmod +x "$tools/bin/$program"
    done
    rm -rf "$tools/apt" "$tools/packages"
}

for attempt in 1 2 3; do # networks fail now and then
    [ -n "$(missing)" ] || exit 0
    command -v apt-get >/dev/null || break
    if [ "$(id -u)" -eq 0 ]; then install_packages; else unpack_packages; fi || sleep $((attempt * 5))
done
[ -n "$(missing)" ] || exit 0
if [ "$(missing)" = libfaketime ]; then
    echo "Without libfaketime, make faults leaves out all faults of clocks." >&2
    exit 0
fi
{
    echo "The tests need these programs, which are not on the PATH or do not run: $(missing | paste -sd ' ')"
    echo "apt-get could not bring them. Install the packages ${packages[*]} of your distribution."
} >&2
exit 1
