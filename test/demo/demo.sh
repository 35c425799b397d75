#!/bin/bash
# The whole story in one go, in a home folder of its own: init, two apps in two
# languages that share state and call each other through their sidecars, stop,
# and nothing left. Then again with the apps' legacy routes, and with the state
# in a real Redis. Needs no network. The exit code is not 0 when a step failed.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
sample=$root/samples/hello
# Asked before HOME changes: a version manager finds its Python through HOME.
python=$(python3 -c 'import sys; print(sys.executable)')

home=$(mktemp -d "${TMPDIR:-/tmp}/dapr-demo.XXXXXX")
for name in $(compgen -e); do
	case $name in DAPR_* | APP_* | LEGACY_ROUTES | STATE_STORE | NAMESPACE) unset "$name" ;; esac
done
export HOME=$home PATH=$root/bin:$home/bin:$PATH
mkdir "$home/bin"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$home/bin/python3"
chmod +x "$home/bin/python3"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n# %s\n' "$*"; }
ok() { echo "  ok: $*"; }
fail() {
	echo "  FAILED: $*" >&2
	for log in "$home"/*.log; do
		[ -s "$log" ] && { echo "--- the end of ${log##*/}"; tail -n 20 "$log"; } >&2
	done
	exit 1
}

# ours prints the processes that were started in the demo's home, whoever
# started them and whoever their parent is now, but not the demo's own Redis.
redis=
ours() {
	local environ pid
	for environ in /proc/[0-9]*/environ; do
		pid=${environ//[!0-9]/}
		[ "$pid" = "$redis" ] && continue
		if tr '\0' '\n' 2>/dev/null <"$environ" | grep -qxF "HOME=$home"; then echo "$pid"; fi
	done
}
cleanup() {
	local left
	left=$(ours)
	# shellcheck disable=SC2086 # one argument each
	kill -9 $left $redis 2>/dev/null || true
	rm -rf "$home"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
until_ok() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
order() { dapr invoke -a nodeapp -m order -v GET 2>/dev/null | sed -n 's/.*"orderId":\([0-9]*\).*/\1/p'; }

# round TITLE [ENV=VALUE...] [-- FLAG...]: both apps run, the order grows, both stop.
latest=
round() {
	say "$1"
	shift
	local environment=() port id ids=() ports state_url=/v1.0/state/statestore
	while [ $# -gt 0 ] && [ "$1" != -- ]; do environment+=("$1"); shift; done
	[ ${#environment[@]} = 0 ] || state_url=/v1.0/state
	[ $# = 0 ] || shift
	port=$(free_port)

	echo "$ ${environment[*]:+${environment[*]} }dapr run --app-id nodeapp --app-port $port${*:+ $*} -- node app.js"
	(cd "$sample/node" && exec env "${environment[@]}" dapr run --app-id nodeapp --app-port "$port" "$@" -- node app.js) >"$home/nodeapp.log" 2>&1 </dev/null &
	local node_run=$!
	until_ok 20 listens "$port" || fail "the Node app does not listen on port $port"
	until_ok 10 dapr invoke -a nodeapp -m order -v GET >"$home/invoke.log" 2>&1 || fail "the Node app does not answer through its sidecar"
	if [ -n "$latest" ]; then
		[ "$(order)" = "$latest" ] || fail "the order was $latest before the apps ended, and is '$(order)' now"
		ok "order $latest outlived both apps and their sidecars"
	fi

	echo "$ dapr run --app-id pythonapp${*:+ $*} -- python3 app.py"
	(cd "$sample/python" && exec dapr run --app-id pythonapp "$@" -- python3 app.py) >"$home/pythonapp.log" 2>&1 </dev/null &
	local python_run=$! end=$((SECONDS + 15)) last=$latest
	while [ ${#ids[@]} -lt 5 ] && [ $SECONDS -lt $end ]; do
		id=$(order) || true
		if [ -n "$id" ] && [ "$id" != "$last" ]; then
			ids+=("$id") last=$id
			echo "  order $id"
		fi
		sleep 0.2
	done
	[ ${#ids[@]} -ge 4 ] || fail "the order does not grow: ${ids[*]:-no order at all}"
	[ "${ids[*]}" = "$(printf '%s\n' "${ids[@]}" | sort -n | xargs)" ] || fail "the order does not only grow: ${ids[*]}"

	echo "$ dapr list"
	dapr list | tee "$home/list.log"
	for id in nodeapp pythonapp; do
		grep -q $id "$home/list.log" || fail "dapr list does not show $id"
	done
	ports="$port $(dapr list -o json | sed -n 's/.*"\(http\|grpc\)Port": *\([0-9]*\).*/\2/p' | xargs)"
	[ "$(wc -w <<<"$ports")" = 5 ] || fail "dapr list -o json does not show the ports of two sidecars: $ports"

	echo "$ dapr invoke -a nodeapp -m order -v GET"
	dapr invoke -a nodeapp -m order -v GET || fail "dapr invoke failed"

	echo "$ dapr logs -a nodeapp --tail 4"
	dapr logs -a nodeapp --tail 4 || fail "dapr logs failed"
	grep -q "keeps orders at $state_url\$" "$home/nodeapp.log" || fail "the app does not use $state_url"
	grep -q "Got a new order! Order ID: ${ids[0]}" "$home/nodeapp.log" || fail "the app's output is not in that of dapr run"
	grep -q "Successfully persisted state." "$home/nodeapp.log" || fail "the app did not persist its state"

	echo "$ dapr stop -a pythonapp -a nodeapp"
	dapr stop pythonapp || fail "dapr stop failed"
	wait $python_run || true
	latest=$(order)
	dapr stop -a nodeapp || fail "dapr stop failed"
	wait $node_run || true
	nothing_left "$ports"
}

nothing_left() { # PORTS
	local left port
	left=$(ours)
	[ -z "$left" ] || fail "processes are left: $(ps -o pid=,args= -p "${left//$'\n'/,}")"
	ok "no process is left"
	for port in $1; do
		if listens "$port"; then fail "something still listens on port $port"; fi
	done
	left=$(find "$home" -type s)
	[ -z "$left" ] || fail "sockets are left: $left"
	ok "no port and no socket is left"
	left=$(find "$home/.dapr/run" -type f 2>/dev/null) || true
	[ -z "$left" ] || fail "registry entries are left: $left"
	[ "$(dapr list -o json)" = "[]" ] || fail "dapr list still shows: $(dapr list)"
	ok "no registry entry is left"
}

say "Install, in an empty home folder"
echo "$ dapr init"
dapr init || fail "dapr init failed"
echo "$ dapr version"
dapr version

round "Two apps share state (SQLite) and call each other"
round "The same with the apps' legacy routes" LEGACY_ROUTES=1

port=$(free_port)
mkdir "$home/redis" "$home/resources"
redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$home/redis" >"$home/redis.log" 2>&1 </dev/null &
redis=$!
until_ok 10 listens "$port" || fail "redis-server does not listen on port $port"
sed "s/localhost:6379/127.0.0.1:$port/" "$sample/resources-redis/statestore.yaml" >"$home/resources/statestore.yaml"
latest=
round "The same with the state in a real Redis" -- --resources-path "$home/resources"
value=$(redis-cli -p "$port" hget "nodeapp||order" data)
echo "$ redis-cli hget 'nodeapp||order' data"
echo "$value"
[ "$value" = "{\"orderId\":$latest}" ] || fail "Redis does not hold order $latest"
ok "the order is in Redis"
kill "$redis"
wait "$redis" || true

say "All of it worked."
