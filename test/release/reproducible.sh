#!/bin/bash
# reproducible.sh [PLATFORM]: makes the dry run of a release twice, for this
# machine or another PLATFORM such as linux_arm64, out of two clones of the
# checked out commit in folders of different names, and compares every file.
# With FRESH=1 the second compiles everything anew, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${1:-$(go env GOOS)_$(go env GOARCH)}
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

build() { # FOLDER [VARIABLE=VALUE]...
	local folder=$work/$1
	shift
	git clone --quiet --no-hardlinks . "$folder"
	mkdir "$folder/.cache"
	ln -s "$PWD/.cache/bin" "$folder/.cache/bin" # the tools, which are no part of what is made
	if ! env "$@" make -C "$folder" release-snapshot TARGET="$target" >"$folder.log" 2>&1; then
		cat "$folder.log" >&2
		exit 1
	fi
}

build first
# An archive has times in whole seconds: let the clock show another.
sleep 1
if [ "${FRESH:-}" = 1 ]; then
	build second/deeper GOCACHE="$work/gocache"
else
	build second/deeper
fi

# The list has the hash of each file, which the dry run has checked against it.
if ! diff "$work/first/dist/checksums.txt" "$work/second/deeper/dist/checksums.txt"; then
	echo "not reproducible: two builds of one commit differ in the files above" >&2
	exit 1
fi
find "$work/first/dist" -maxdepth 1 -name '*.tar.gz' -o -maxdepth 1 -name '*.zip' -o -maxdepth 1 -name '*.deb' -o -maxdepth 1 -name '*.rpm' |
	while read -r file; do cmp "$file" "$work/second/deeper/dist/$(basename "$file")"; done
echo "reproducible: two builds of $(git rev-parse --short HEAD) for $target gave the same $(wc -l <"$work/first/dist/checksums.txt") files"
