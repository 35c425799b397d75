#!/bin/bash
# Runs the tests of the programs for Windows, under wine, in a Windows of their
# own. The programs are those in dist/windows_amd64: see "make test-windows".
set -euo pipefail
cd "$(dirname "$0")/../.."

for program in wine x86_64-w64-mingw32-as x86_64-w64-mingw32-ld; do
	if ! command -v $program >/dev/null; then
		echo "skipped: $program is not there (Debian: apt-get install wine wine64 binutils-mingw-w64-x86-64)" >&2
		exit 0
	fi
done

folder=$(mktemp -d)
export WINEPREFIX=$folder/wine WINEDEBUG=-all
export PATH=$PATH:/usr/lib/wine
# shellcheck disable=SC2329 # called at the end
end() {
	wineserver -k || true # whatever still runs in it
	wineserver -w || true
	rm -rf "$folder"
}
trap end EXIT

mkdir "$WINEPREFIX"
wineserver -p # until it is told to end: starting takes seconds
wine wineboot --init >/dev/null 2>&1
# Go's programs take random numbers from here, which wine 8 lacks: the function
# is an older one's under another name.
printf 'EXPORTS\nProcessPrng = advapi32.SystemFunction036\n' >"$folder/exports.def"
x86_64-w64-mingw32-as -o "$folder/empty.o" /dev/null
x86_64-w64-mingw32-ld -shared -e 0 -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" "$folder/empty.o" "$folder/exports.def"

# Go removes folders in a way that wine 8 lacks too, and knows another way for
# every answer but wine's.
removing=$(go env GOROOT)/src/internal/syscall/windows/at_windows.go
sed 's/^\t\tSTATUS_NOT_SUPPORTED:/\t\tSTATUS_NOT_SUPPORTED, NTStatus(0xC0000002):/' "$removing" >"$folder/at_windows.go"
printf '{"Replace": {"%s": "%s"}}' "$removing" "$folder/at_windows.go" >"$folder/overlay.json"

# The packages that have most to do with Windows. Those of sockets are missing:
# wine 8 has no unix domain sockets, and does not tell who listens on a port.
GOOS=windows CGO_ENABLED=0 go test -count=1 -overlay "$folder/overlay.json" -exec wine \
	./pkg/atomicfile ./pkg/filelock ./pkg/home ./pkg/instances ./pkg/iostreams ./pkg/standalone

go test -tags wine -count=1 -timeout 10m "$@" ./test/windows
