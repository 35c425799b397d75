#!/bin/bash
# Checks a running cluster: deployment, logs, exec, port-forward, VIP, DNS, webhook, stateful set, volume claim.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export KONE_BIN=${KONE_BIN:-$PWD/bin} KONE_DIR=${KONE_DIR:-$PWD/run}
export KUBECONFIG=$KONE_DIR/kubeconfig
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
k() { "$KONE_BIN/kubeone" kubectl "$@"; }
ok() { echo "ok - $*"; }
want() { local d=$1 w=$2; shift 2; local got; got=$("$@" 2>&1) || { echo "not ok - $d: $got"; exit 1; }; case $got in *"$w"*) ok "$d" ;; *) echo "not ok - $d: $got"; exit 1 ;; esac; }
"$here/load-image.sh" localhost/testapp:1 "$KONE_BIN/testapp=/testapp" -- /testapp >/dev/null
k apply -f "$here/manifests/echo.yaml" >/dev/null
k rollout status deploy/echo --timeout=60s >/dev/null; ok "deployment runs"
pod=$(k get pod -l app=echo -o 'jsonpath=pod/{.items[0].metadata.name}')
want logs "serving as echo-" k logs "$pod"
want exec "from exec" k exec "$pod" -- /testapp echo from exec
want "exec stdin" "from stdin" bash -c "echo from stdin | '$KONE_BIN/kubeone' kubectl exec -i $pod -- /testapp cat"
vip=$(k get svc echo -o jsonpath='{.spec.clusterIP}')
want "service VIP from node" "hello from echo-" "$KONE_DIR/in-node" "$KONE_BIN/testapp" get "http://$vip/"
for u in http://echo/ http://echo.default.svc.cluster.local/ http://echo-headless:8080/; do want "DNS from pod: $u" "hello from echo-" k exec "$pod" -- /testapp get "$u"; done
k port-forward svc/echo :80 >"$tmp/pf" 2>&1 & pf=$!
for _ in $(seq 50); do grep -q Forwarding "$tmp/pf" && break; sleep 0.1; done
want port-forward "hello from echo-" curl -sf "http://127.0.0.1:$(sed -n '/127\.0\.0\.1:/{s/.*127.0.0.1:\([0-9]*\) .*/\1/p;q}' "$tmp/pf")/"
kill $pf
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout "$tmp/tls.key" -out "$tmp/tls.crt" -subj /CN=hook -addext "subjectAltName=DNS:hook.hooks.svc" 2>/dev/null
k create ns hooks >/dev/null; k -n hooks create secret tls hook --cert "$tmp/tls.crt" --key "$tmp/tls.key" >/dev/null
sed "s#CABUNDLE#$(base64 -w0 "$tmp/tls.crt")#" "$here/manifests/webhook.yaml" | k apply -f - >/dev/null
k -n hooks rollout status deploy/hook --timeout=60s >/dev/null
k apply -f "$here/manifests/injected.yaml" >/dev/null
want "webhook injects a container" "main sidecar" k get pod injected -o 'jsonpath={.spec.containers[*].name}'
k wait --for=jsonpath='{.status.phase}'=Succeeded pod/injected --timeout=30s >/dev/null
want "injected container ran" sidecar k logs injected -c sidecar
k apply -f "$here/manifests/more.yaml" >/dev/null
k rollout status sts/sts --timeout=60s >/dev/null; ok "stateful set with init container and volume claim"
want "stateful DNS" "hello from sts-2" k exec sts-0 -c app -- /testapp get http://sts-2.sts.default.svc.cluster.local:8080/
want "node port" "hello from sts-" "$KONE_DIR/in-node" "$KONE_BIN/testapp" get http://10.200.0.1:30080/
k wait --for=condition=Complete job/job --timeout=30s >/dev/null; ok job
k wait --for=jsonpath='{.status.phase}'=Succeeded pod/priv --timeout=30s >/dev/null; want "privileged pod" privileged k logs priv
want "liveness restart" "1" bash -c "for i in \$(seq 200); do r=\$('$KONE_BIN/kubeone' kubectl get pod sick -o 'jsonpath={.status.containerStatuses[0].restartCount}'); [ \"\$r\" -ge 1 ] && { echo 1; exit; }; sleep 0.2; done; echo \$r"
k delete -f "$here/manifests/more.yaml" -f "$here/manifests/injected.yaml" -f "$here/manifests/echo.yaml" --wait >/dev/null 2>&1
k delete mutatingwebhookconfiguration hook >/dev/null
k delete ns hooks --timeout=60s >/dev/null; ok "deletion, namespace too"
