#!/bin/sh
# build.sh DIR: builds the cluster's programs into DIR, skipping those that are
# there. The caller names DIR after what they are made of (see run.sh).
set -eu
out=${1:?usage: build.sh DIR}
mkdir -p "$out"
out=$(cd "$out" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
export CGO_ENABLED=0

build() { # NAME MODULE PACKAGE [LDFLAGS]: a finished file has its final name
	[ -x "$out/$1" ] && return
	echo "building $1" >&2
	(cd "$here/$2" && nice -n 15 go build -trimpath -ldflags "-s -w ${4:-}" -o "$out/.$1.part" "$3")
	mv "$out/.$1.part" "$out/$1"
}

# The server says its version: charts that check kubeVersion refuse v0.0.0.
version=$(cd "$here/kubeone" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
stamps=
for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	stamps="$stamps -X $p.gitVersion=$version -X $p.gitMajor=1 -X $p.gitMinor=${minor%%.*} -X $p.gitTreeState=clean"
	stamps="$stamps -X $p.gitCommit=0000000000000000000000000000000000000000 -X $p.buildDate=1970-01-01T00:00:00Z"
done

build testapp testapp .
build knode kubeone ./knode
build coredns dns .
build kubeone kubeone . "$stamps"
