#!/usr/bin/env bash
# What `make cluster-test` needs beside helm-tools, into .tools/bin: etcd, a Kubernetes API server with its controllers
# and its scheduler, and kubectl, built from Go modules. Needs Go; ten minutes of two cores, once.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=1.36.3
ETCD=3.6.8
PROGRAMS=(kube-apiserver kube-controller-manager kube-scheduler kubectl)

bin=$PWD/.tools/bin
missing() { for name in "${PROGRAMS[@]}" etcd; do [[ -x $bin/$name ]] || return 0; done; return 1; }
missing || exit 0
command -v go > /dev/null || { echo "cluster-tools: no Go here; install it, or put ${PROGRAMS[*]} and etcd on PATH" >&2; exit 1; }
mkdir -p "$bin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GOFLAGS="-mod=mod -buildvcs=false"

echo "building etcd"
mkdir "$work/etcd" && cd "$work/etcd"
go mod init etcd 2> /dev/null
go get "go.etcd.io/etcd/server/v3@v$ETCD" 2> get.log || { cat get.log >&2; exit 1; }
go build -ldflags '-s -w' -o "$bin/etcd" go.etcd.io/etcd/server/v3

# Kubernetes' own go.mod takes the parts that are modules of their own from its folders: from the proxy instead.
echo "building ${PROGRAMS[*]}"
mkdir "$work/kubernetes" && cd "$work/kubernetes"
go mod init cluster 2> /dev/null
source=$(go mod download -json "k8s.io/kubernetes@v$VERSION" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
parts=()
for part in $(sed -n 's/^\s*\(k8s\.io\/[a-z-]*\) v0\.0\.0$/\1/p' "$source"); do
    parts+=(-replace "$part=$part@v0.${VERSION#1.}")
done
go mod edit -require "k8s.io/kubernetes@v$VERSION" "${parts[@]}"
about=k8s.io/component-base/version
IFS=. read -r major minor _ <<< "$VERSION"
go build -o "$bin/" -ldflags \
    "-s -w -X $about.gitVersion=v$VERSION -X $about.gitMajor=$major -X $about.gitMinor=$minor" \
    "${PROGRAMS[@]/#/k8s.io/kubernetes/cmd/}"
