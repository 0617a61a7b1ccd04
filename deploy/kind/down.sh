#!/usr/bin/env bash
# Removes the kind cluster of up.sh with everything in it. The image headway:local stays in Docker.
set -euo pipefail

if ! command -v kind >/dev/null; then
    echo "down.sh needs kind on the PATH." >&2
    exit 2
fi
kind delete cluster --name headway
