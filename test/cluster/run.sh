#!/bin/bash
# run.sh [COMMAND...]: starts a one-node Kubernetes cluster, runs COMMAND against
# it (smoke.sh when there is none) with KUBECONFIG set, and stops the cluster
# whatever happened. The cluster's programs are built once and kept in
# .cache/cluster, in a folder named after what they are made of.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache/cluster

if [ "$(id -u)" != 0 ]; then
	echo "the cluster needs root: it makes namespaces and cgroups of its own" >&2
	exit 1
fi
for tool in containerd runc iptables ip nsenter unshare openssl curl; do
	command -v "$tool" >/dev/null || { echo "$tool is missing: run .ci/deps cluster" >&2; exit 1; }
done

key=$( (go env GOVERSION && cd "$here" && cat build.sh ./*/go.* ./*/*.go ./*/*/*.go) | sha256sum | cut -c1-16)
export KONE_BIN=$cache/$key
KONE_DIR=$(mktemp -d "${TMPDIR:-/tmp}/kone.XXXXXX")
export KONE_DIR
KONE_PORT=${KONE_PORT:-$((16000 + RANDOM % 8000))}
export KONE_PORT KUBECONFIG=$KONE_DIR/kubeconfig

"$here/build.sh" "$KONE_BIN"
for old in "$cache"/*/; do [ "$old" = "$KONE_BIN/" ] || rm -rf "$old"; done

trap '"$here/down.sh"' EXIT
trap 'exit 130' INT TERM
"$here/up.sh"
"${@:-$here/smoke.sh}"
