#!/bin/bash
# Ends the cluster that up.sh started: killing the first process of the PID namespace
# ends every server and container, and the namespaces' mounts and links go with it.
set -uo pipefail
KONE_DIR=${KONE_DIR:-$PWD/run} KONE_PORT=${KONE_PORT:-16443}
for p in forward unshare; do
	[ -e "$KONE_DIR/$p.pid" ] || continue
	pid=$(cat "$KONE_DIR/$p.pid")
	[ -e "/proc/$pid/cmdline" ] || continue
	case "$(tr '\0' ' ' <"/proc/$pid/cmdline")" in
	*"knode forward"* | *node.sh*) kill -9 "$pid" 2>/dev/null ;;
	esac
done
init=$(cat "$KONE_DIR/init.pid" 2>/dev/null || echo 0)
for _ in $(seq 50); do
	if [ "$init" = 0 ] || ! kill -0 "$init" 2>/dev/null; then break; fi
	sleep 0.1
done
[ -e "$KONE_DIR/sysctl.saved" ] && while read -r f v; do echo "$v" > "$f"; done < "$KONE_DIR/sysctl.saved"
# what is left of the cgroups, deepest first
for _ in 1 2 3 4 5; do
	find /sys/fs/cgroup -mindepth 2 -maxdepth 2 -type d -name "kone-$KONE_PORT" 2>/dev/null | while read -r d; do
		find "$d" -depth -type d -exec rmdir {} + 2>/dev/null
	done
	[ -z "$(find /sys/fs/cgroup -mindepth 2 -maxdepth 2 -type d -name "kone-$KONE_PORT" 2>/dev/null)" ] && break
	sleep 0.2
done
rm -rf "$KONE_DIR"
