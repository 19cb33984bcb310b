#!/usr/bin/env bash
# What `make helm-test` needs beside Python, into .tools/: helm, kubeconform, JSON schemas of Kubernetes, of KEDA and
# of the Prometheus operator, and the latter two's CRDs, made from Go modules. Needs Go; promtool comes with Prometheus.
set -euo pipefail
cd "$(dirname "$0")/.."

HELM=helm.sh/helm/v3/cmd/helm@v3.22.0
KUBECONFORM=github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
CONTROLLER_GEN=sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0
KUBERNETES=k8s.io/kubernetes@v1.36.3
KEDA=github.com/kedacore/keda/v2@v2.21.0
MONITORING=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring
MONITORING_VERSION=v0.95.0

command -v go > /dev/null || { echo "helm-tools: no Go here; install it, or helm and kubeconform yourself" >&2; exit 1; }
mkdir -p .tools/bin
export GOBIN=$PWD/.tools/bin GOFLAGS=-buildvcs=false
for module in "$HELM" "$KUBECONFORM" "$CONTROLLER_GEN"; do
    name=$(basename "${module%@*}")
    [[ -x $GOBIN/$name ]] || { echo "building $name"; go install "$module"; }
done
[[ -d .tools/schemas && -d .tools/crds ]] && exit 0

downloaded() { go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'; }

# The operator's types are a module whose objects' schemas are made by controller-gen, as its own are.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(
    cd "$work"
    go mod init schemas
    go mod edit -require "$MONITORING@$MONITORING_VERSION" \
        -replace k8s.io/utils=k8s.io/utils@v0.0.0-20260626114624-be93311217bd
    printf 'package schemas\n\nimport _ "%s/v1"\n' "$MONITORING" > schemas.go
    go mod tidy -e
    GOFLAGS=-mod=mod "$GOBIN/controller-gen" crd paths="$MONITORING/v1" output:crd:dir=crds
) > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
keda=$(cd "$work" && downloaded "$KEDA")/config/crd/bases
swagger=$(cd "$work" && downloaded "$KUBERNETES")/api/openapi-spec/swagger.json
python3 helm/schemas.py .tools/schemas "$swagger" "$keda" "$work/crds"
mkdir -p .tools/crds
cp --no-preserve=mode "$keda"/*.yaml "$work"/crds/*.yaml .tools/crds/
