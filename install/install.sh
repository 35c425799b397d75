#!/bin/sh
# Installs the program dapr. It is one file, which carries the runtime too.
#
#   curl -fsSL URL/install.sh | sh                  the latest release
#   wget -q URL/install.sh -O - | sh -s -- 1.2.3    that release
#
# Variables:
#   DAPR_INSTALL_DIR       folder for the program; /usr/local/bin
#   DAPR_INSTALL_VERSION   release to install, where no argument names one; latest
#   DAPR_INSTALL_BASE_URL  where releases are; any web server with these files:
#                            BASE/download/vVERSION/checksums.txt
#                            BASE/download/vVERSION/dapr_OS_ARCH.tar.gz
#                            BASE/latest/download/... the same of the latest release
#   http_proxy, https_proxy, no_proxy are those of curl and wget.
#
# It needs curl or wget, tar, and sha256sum, shasum or openssl; busybox has all
# of them. Nothing is installed before its checksum is right and it has run once.
# Then it takes the place of an older dapr in one step.

set -eu

# A fork changes the owner here; a test compares it with the module's path.
repository=https://github.com/hyperdapr/dapr
platforms='linux_amd64 linux_arm64 darwin_amd64 darwin_arm64'

usage() {
	cat <<END
Usage: install.sh [VERSION]

Installs the program dapr: the release VERSION, or the latest one.

  DAPR_INSTALL_DIR       folder for the program (default: /usr/local/bin)
  DAPR_INSTALL_VERSION   release to install where no argument names one
  DAPR_INSTALL_BASE_URL  where releases are (default: $repository/releases)
END
}

say() { printf '%s\n' "$*"; }

fail() { # LINE...
	printf 'ERROR: %s\n' "$1" >&2
	shift
	[ $# = 0 ] || printf '       %s\n' "$@" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# platform prints this machine's, as the files of a release are named.
platform() {
	os=$(uname -s) arch=$(uname -m)
	case $os in
	Linux) kernel=linux ;;
	Darwin) kernel=darwin ;;
	MINGW* | MSYS* | CYGWIN*)
		fail "this is a shell on Windows ($os); in PowerShell use install.ps1 instead:" \
			"irm $public/latest/download/install.ps1 | iex" ;;
	*) kernel= ;;
	esac
	case $arch in
	x86_64 | amd64) processor=amd64 ;;
	aarch64 | arm64) processor=arm64 ;;
	*) processor= ;;
	esac
	# A shell that Apple's Rosetta translates takes the machine for an older one.
	if [ "${kernel}_$processor" = darwin_amd64 ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" = 1 ]; then
		processor=arm64
	fi
	if [ -z "$kernel" ] || [ -z "$processor" ]; then
		fail "there is no dapr for this machine: uname says $os $arch" "supported: $platforms, and Windows with install.ps1"
	fi
	say "${kernel}_$processor"
}

# fetch downloads a release's file into stage.
fetch() { # NAME
	status=0 url=$base/$release/$1 shown=$public/$release/$1
	case $downloader in
	curl)
		secure=
		# A mirror may be plain; what began encrypted stays so.
		case $base in https://*) secure='--proto =https --tlsv1.2' ;; esac
		# The shell opens the file: some packagings of curl may not write everywhere.
		# shellcheck disable=SC2086 # two options
		words=$(curl -fsSL $secure --connect-timeout 30 --speed-limit 1 --speed-time 60 "$url" 2>&1 >"$stage/$1") || status=$?
		;;
	*)
		case $(wget --version 2>/dev/null) in
		*GNU*) # with -q it would not say what went wrong, without it says what went well
			words=$(wget -nv -T 60 -t 2 -O "$stage/$1" "$url" 2>&1) || status=$?
			[ $status != 0 ] || words= ;;
		# Not all of busybox's know a time limit, and some crash when given one.
		*) words=$(wget -q -O "$stage/$1" "$url" 2>&1) || status=$? ;;
		esac
		;;
	esac
	[ -z "$words" ] || printf '%s\n' "$words" >&2
	[ $status != 0 ] || return 0
	has_room || full
	case $words in
	*' 404'*)
		[ "$version" = latest ] || fail "there is no file $shown" "is there a version $version for $system? See $public"
		fail "there is no file $shown" "does DAPR_INSTALL_BASE_URL name a place with releases? It is $public"
		;;
	esac
	fail "could not download $shown: $downloader ended with code $status" \
		"check the network; behind a proxy set https_proxy, with a mirror DAPR_INSTALL_BASE_URL"
}

# has_room tells whether a download ended because the disk is full: not every
# downloader says so.
has_room() { dd if=/dev/zero of="$stage/room" bs=65536 count=1 2>/dev/null; }

full() {
	cleanup
	left=$(df -Pk "$parent" | awk 'END { print int($4 / 1024) }')
	fail "the disk is full: $parent has $left MB left, and dapr needs about 150 MB while it is installed" \
		"make room, or set DAPR_INSTALL_DIR to a folder on another disk"
}

sum() { # FILE: prints its SHA-256
	case $summer in
	sha256sum) sha256sum <"$1" ;;
	shasum) shasum -a 256 <"$1" ;;
	openssl) openssl dgst -sha256 -r <"$1" ;;
	esac | cut -d ' ' -f 1
}

# find_tools sets downloader and summer.
find_tools() {
	downloader='' summer=''
	for tool in curl wget; do
		if [ -z "$downloader" ] && have $tool; then downloader=$tool; fi
	done
	[ -n "$downloader" ] || fail "neither curl nor wget is installed: install one of them"
	for tool in sha256sum shasum openssl; do
		if [ -z "$summer" ] && have $tool; then summer=$tool; fi
	done
	[ -n "$summer" ] || fail "cannot verify a checksum: none of sha256sum, shasum and openssl is installed; install one of them"
	have tar || fail "tar is not installed: install it"
}

# find_folder sets parent, the closest folder above the program that is there
# already, and as, what has the right to write into it.
find_folder() {
	case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
	[ "$dir" = / ] || dir=${dir%/}
	parent=$dir
	while [ ! -e "$parent" ]; do parent=$(dirname "$parent"); done
	[ -d "$parent" ] || fail "$parent is no folder; set DAPR_INSTALL_DIR to one"
	[ ! -d "$dir/dapr" ] || fail "$dir/dapr is a folder; move it away, or set DAPR_INSTALL_DIR to another folder"
	as=
	if [ ! -w "$parent" ] && [ "$(id -u)" != 0 ]; then
		have sudo || fail "no permission to write into $parent" \
			"set DAPR_INSTALL_DIR to a folder of yours, for example \$HOME/.local/bin, or run this as root"
		say "$parent is not yours to write: using sudo, which may ask for your password"
		as=sudo
	fi
}

cleanup() {
	[ -z "$stage" ] || $as rm -rf "$stage"
	stage=
}

main() {
	case ${1:-} in
	-h | --help) usage; exit 0 ;;
	esac
	[ $# -le 1 ] || fail "one version at most: $*"
	version=${1:-${DAPR_INSTALL_VERSION:-latest}}
	version=${version#v}
	case $version in '' | -* | *[!0-9A-Za-z.+-]*) fail "\"$version\" is no version; for example: 1.2.3" ;; esac
	base=${DAPR_INSTALL_BASE_URL:-$repository/releases}
	base=${base%/}
	# A name and a password in it are nobody else's business.
	public=$(say "$base" | sed 's,//[^/]*@,//,')
	dir=${DAPR_INSTALL_DIR:-/usr/local/bin}

	system=$(platform)
	say "Your system is $system"
	find_tools
	find_folder

	# Beside its destination, so that the last step is a rename and not a copy.
	stage=
	trap cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	stage=$($as mktemp -d "$parent/.dapr-install.XXXXXX") ||
		fail "could not make a temporary folder in $parent; the reason is above" "DAPR_INSTALL_DIR sets another folder"
	[ -z "$as" ] || $as chown "$(id -u)" "$stage"

	file=dapr_$system.tar.gz
	release=download/v$version
	[ "$version" != latest ] || release=latest/download
	say "Downloading $public/$release/$file"
	fetch checksums.txt
	expected=
	while read -r hex name; do
		if [ "${name#\*}" = "$file" ]; then expected=$hex; fi
	done <"$stage/checksums.txt"
	[ -n "$expected" ] || fail "$public/$release/checksums.txt has no checksum of $file"
	fetch "$file"
	got=$(sum "$stage/$file")
	[ "$got" = "$expected" ] || fail "wrong checksum of $public/$release/$file; nothing was installed" \
		"expected $expected" "got      $got" \
		"it was changed on its way, or replaced by a newer release just now: try again"

	# By way of a pipe: it keeps no owner, no mode and no path of the archive.
	if ! tar -xzOf "$stage/$file" dapr >"$stage/dapr"; then
		has_room || full
		fail "could not unpack dapr from $public/$release/$file; nothing was installed"
	fi
	chmod 755 "$stage/dapr"
	versions=$("$stage/dapr" version </dev/null) || fail "the program does not run on this machine; nothing was installed"

	$as mkdir -p "$dir"
	[ -z "$as" ] || $as chown 0:0 "$stage/dapr"
	$as mv -f "$stage/dapr" "$dir/dapr"

	say "dapr was installed into $dir"
	say "$versions" | sed 's/^CLI version/cli version/; s/^Runtime version/runtime version/; s/ *$//'
	found=$(command -v dapr) || found=
	if [ -z "$found" ]; then
		say "Your PATH lacks $dir. For this shell: export PATH=\"$dir:\$PATH\""
	elif [ "$found" != "$dir/dapr" ]; then
		say "Another dapr comes first in your PATH: $found"
	fi
	say "To get started: dapr init, and $repository/blob/main/docs/getting-started.md"
}

# All that runs stands in the last line, between braces: half a script does nothing.
{ main "$@"; }
