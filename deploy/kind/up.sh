#!/usr/bin/env bash
# Makes a kind cluster on this machine, with KEDA, Prometheus, Grafana, Headway, and one demo service twice: scaled by
# Headway, and by KEDA's prometheus trigger alone. Run it again to apply changes; down.sh removes everything.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")/../.."

cluster=headway
keda_version=2.20.2
monitoring_version=93.9.0
patience=10m # for each chart: the first run pulls images

in_cluster() { kubectl --context "kind-$cluster" "$@"; }

install_chart() { # $1: release, $2: namespace, then chart and flags
    helm upgrade --install "$1" "${@:3}" --kube-context "kind-$cluster" --namespace "$2" --create-namespace \
        --wait --timeout "$patience"
}

make_namespace() { in_cluster create namespace "$1" --dry-run=client --output yaml | in_cluster apply --filename -; }

make_config_map() { # $1: namespace, $2: name, $3: where its data is
    in_cluster create configmap "$2" --namespace "$1" "$3" --dry-run=client --output yaml |
        in_cluster apply --filename -
}

make_demo_namespace() { # $1: name. The load and the past demand follow one pattern.
    make_namespace "$1"
    make_config_map "$1" demo --from-file=deploy/demo
    make_config_map "$1" demand --from-env-file=deploy/kind/demand.env
}

step() { printf '\n== %s\n' "$*"; }

check_tools() {
    local tool missing=()
    for tool in docker kind kubectl helm; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "up.sh needs these programs on the PATH: ${missing[*]}. deploy/kind/README.md says where to get them." >&2
        exit 2
    fi
    if ! docker info >/dev/null 2>&1; then
        echo "up.sh needs a running Docker: \`docker info\` fails. Start it, or allow this user to use it." >&2
        exit 2
    fi
}

make_cluster() {
    if ! kind get clusters 2>/dev/null | grep --quiet --line-regexp "$cluster"; then
        kind create cluster --config deploy/kind/cluster.yaml --wait 5m
    fi
}

build_image() {
    docker build --file deploy/images/runtime.Dockerfile --tag headway:local .
    kind load docker-image headway:local --name "$cluster"
}

install_monitoring() {
    make_demo_namespace monitoring
    install_chart kube-prometheus-stack monitoring kube-prometheus-stack --version "$monitoring_version" \
        --repo https://prometheus-community.github.io/helm-charts --values deploy/kind/prometheus.yaml
    # Helm does not wait for the pods that the operator makes
    in_cluster wait prometheus/kube-prometheus-stack-prometheus --namespace monitoring --for=condition=Available \
        --timeout "$patience"
    # Grafana's sidecar finds it by its label
    make_config_map monitoring demo-dashboard --from-file=deploy/compose/grafana/dashboards
    in_cluster label configmap demo-dashboard --namespace monitoring --overwrite grafana_dashboard=1
}

install_shop() {
    make_demo_namespace shop
    in_cluster apply --filename deploy/kind/shop.yaml
}

install_keda() {
    install_chart keda keda keda --version "$keda_version" --repo https://kedacore.github.io/charts
}

install_headway() {
    install_chart headway keda helm/headway --values deploy/kind/headway.yaml
}

check_tools
step "Cluster"
make_cluster
step "Image of Headway"
build_image
step "Prometheus and Grafana"
install_monitoring
step "Demo service and load"
install_shop
step "KEDA"
install_keda
step "Headway"
install_headway
step "Two ScaledObjects"
in_cluster apply --filename deploy/kind/scaledobjects.yaml
in_cluster wait scaledobject --all --namespace shop --for=condition=Ready --timeout 2m

cat <<END

Everything runs. Next:

  kubectl --context kind-$cluster --namespace shop get hpa --watch
  kubectl --context kind-$cluster --namespace keda exec deployment/headway -- headway why shop web-headway
  kubectl --context kind-$cluster --namespace monitoring port-forward service/kube-prometheus-stack-grafana 3000:80
  open http://localhost:3000/dashboards

deploy/kind/README.md says what there is to see. deploy/kind/down.sh removes the cluster.
END
