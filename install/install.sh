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
#   http_proxy, https_proxy and no_proxy, or the same in capitals, as curl and
#   wget know them.
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

say() { printf '%s\n' "$@"; } # LINE...

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
	code=0 url=$base/$release/$1 shown=$public/$release/$1
	case $downloader in
	curl)
		# A mirror may be plain; what began encrypted stays so.
		case $base in https://*) protocols='=https' ;; *) protocols='=all' ;; esac
		# The shell opens the file: some packagings of curl may not write everywhere.
		words=$(curl -fsSL --proto "$protocols" --tlsv1.2 --connect-timeout 30 --speed-limit 1 --speed-time 60 "$url" 2>&1 >"$stage/$1") || code=$?
		;;
	*)
		case $(wget --version 2>/dev/null) in
		*GNU*) # with -q it would not say what went wrong, without it says what went well
			words=$(wget -nv -T 60 -t 2 -O "$stage/$1" "$url" 2>&1) || code=$?
			[ $code != 0 ] || words= ;;
		# Not all of busybox's know a time limit, and some crash when given one.
		# None knows no_proxy.
		*) if is_direct; then unset http_proxy https_proxy; fi
			words=$(wget -q -O "$stage/$1" "$url" 2>&1) || code=$? ;;
		esac
		;;
	esac
	[ -z "$words" ] || printf '%s\n' "$words" >&2
	[ $code != 0 ] || return 0
	has_room || full
	case $words in
	*' 404'*)
		[ "$version" = latest ] || fail "there is no file $shown" "is there a version $version for $system? See $public"
		fail "there is no file $shown" "does DAPR_INSTALL_BASE_URL name a place with releases? It is $public"
		;;
	esac
	fail "could not download $shown: $downloader ended with code $code" \
		"check the network; behind a proxy set https_proxy, with a mirror DAPR_INSTALL_BASE_URL"
}

# find_proxies sets the variables that a downloader reads from those in capitals,
# of which each reads some only.
find_proxies() {
	if [ -z "${http_proxy+set}" ] && [ -n "${HTTP_PROXY:-}" ]; then export http_proxy="$HTTP_PROXY"; fi
	if [ -z "${https_proxy+set}" ] && [ -n "${HTTPS_PROXY:-}" ]; then export https_proxy="$HTTPS_PROXY"; fi
	if [ -z "${no_proxy+set}" ] && [ -n "${NO_PROXY:-}" ]; then export no_proxy="$NO_PROXY"; fi
}

# is_direct tells whether no_proxy names the host of the releases.
is_direct() {
	host=${base#*://}
	host=${host%%/*}
	host=${host##*@}
	case $host in \[*) ;; *) host=${host%:*} ;; esac
	names=${no_proxy:-},
	while [ -n "$names" ]; do
		name=${names%%,*}
		names=${names#*,}
		name=${name# }
		name=${name#.}
		[ "$name" != '*' ] || return 0
		case $host in "$name" | *."$name") return 0 ;; esac
	done
	return 1
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
	while [ "$dir" != / ] && [ "${dir%/}" != "$dir" ]; do dir=${dir%/}; done
	parent=$dir
	while [ ! -e "$parent" ] && [ ! -L "$parent" ]; do parent=$(dirname "$parent"); done
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

# clear_old removes what a run left that was killed, and nothing of one that runs.
clear_old() {
	for old in "$parent"/.dapr-install.*.*; do
		pid=${old#"$parent"/.dapr-install.}
		pid=${pid%%.*}
		case $pid in '' | *[!0-9]*) continue ;; esac
		# Another user's process takes no signal, but can be seen.
		if [ "$pid" = $$ ] || { ! kill -0 "$pid" 2>/dev/null && [ ! -d "/proc/$pid" ]; }; then $as rm -rf "$old"; fi
	done
}

cleanup() {
	[ -z "$stage" ] || $as rm -rf "$stage"
	stage=
}

# advise says how this dapr is found, and not another or none.
advise() {
	found=$(command -v dapr) || found=
	# A link, or the folder by another name, is no other dapr.
	# shellcheck disable=SC3013 # POSIX has it since 2024, shells long since
	if [ -n "$found" ] && [ "$found" -ef "$dir/dapr" ]; then return; fi
	if [ -n "$found" ]; then
		say "Another dapr comes first in your PATH: $found" "Remove it, or let this one come first:"
	else
		say "Your PATH lacks $dir. Add it:"
	fi
	# shellcheck disable=SC2016 # the characters themselves
	quoted=$(say "$dir" | sed 's/[\\"$`]/\\&/g')
	case ${SHELL:-}:$system in
	*/fish:*)
		say "  fish_add_path \"$quoted\""
		return
		;;
	*/zsh:*) profile=.zshrc ;;
	*/bash:darwin*) profile=.bash_profile ;;
	*/bash:*) profile=.bashrc ;;
	*) profile=.profile ;;
	esac
	say "  export PATH=\"$quoted:\$PATH\"" "and write that line into ~/$profile, for shells to come"
}

main() {
	# What follows is written for a shell of POSIX.
	[ -z "${ZSH_VERSION:-}" ] || emulate sh
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
	find_proxies
	find_folder

	# Beside its destination, so that the last step is a rename and not a copy.
	stage=
	trap cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 131' QUIT
	trap 'exit 141' PIPE # whoever reads what is said goes away
	trap 'exit 143' TERM
	clear_old
	stage=$($as mktemp -d "$parent/.dapr-install.$$.XXXXXX") ||
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

	# What root installs is for everybody.
	if [ -n "$as" ] || [ "$(id -u)" = 0 ]; then umask 022; fi
	if ! { $as mkdir -p "$dir" && { [ -z "$as" ] || $as chown 0:0 "$stage/dapr"; } && $as mv -f "$stage/dapr" "$dir/dapr"; }; then
		fail "could not put dapr into $dir; the reason is above" "DAPR_INSTALL_DIR sets another folder"
	fi

	say "dapr was installed into $dir"
	say "$versions" | sed 's/^CLI version/cli version/; s/^Runtime version/runtime version/; s/ *$//'
	advise
	say "To get started: dapr init, and $repository/blob/main/docs/getting-started.md"
}

# All that runs stands in the last line, between braces: half a script does nothing.
{ main "$@"; }
