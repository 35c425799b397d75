package annotate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/test/golden"
)

// annotate runs the command on a manifest.
func annotate(t *testing.T, manifest string, args ...string) (out, errOut string, err error) {
	t.Helper()
	streams, in, outBuf, errBuf := iostreams.Test()
	_, err = in.Write([]byte(manifest))
	require.NoError(t, err)
	cmd := NewCmdAnnotate(cmdutil.NewFactory(nil, streams), nil)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append(args, "-"))
	err = cmd.ExecuteContext(t.Context())
	return outBuf.String(), errBuf.String(), err
}

const walkthrough = `kind: Service
apiVersion: v1
metadata:
  name: nodeapp
  labels: {app: node}
spec:
  selector: {app: node}
  ports: [{port: 80, targetPort: 3000}]
  type: LoadBalancer

---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nodeapp
  labels:
    app: node
spec:
  replicas: 1
  selector:
    matchLabels:
      app: node
  template:
    metadata:
      labels:
        app: node
    spec:
      containers:
      - name: node # the app
        image: hello-node:1
        ports:
        - containerPort: 3000
---
kind: List
items:
- kind: Job
  metadata: {name: import, namespace: batch}
  spec: {template: {metadata: {annotations: {team: web, dapr.io/id: importer}}, spec: {containers: [{name: i}]}}}
- kind: Pod
  metadata: {name: probe}
  spec: {containers: [{name: p}]}
`

func TestAnnotate(t *testing.T) {
	for name, args := range map[string][]string{
		"first": {"-k"},
		"named": {"-k", "-r", "import", "-n", "batch", "--app-port", "3000"},
		"all": {
			"-k", "-a", "nodeapp", "-p", "3000", "-c", "tracing", "--app-protocol", "grpc", "--app-ssl", "--app-max-concurrency", "4",
			"--app-token-secret", "app", "--api-token-secret", "api", "--log-level", "debug", "--log-as-json", "--enable-api-logging",
			"--enable-profile", "--enable-metrics=false", "--metrics-port", "9999", "--enable-debug", "--listen-addresses", "0.0.0.0",
			"--max-body-size", "8Mi", "--read-buffer-size", "8192", "--http-stream-request-body", "--graceful-shutdown-seconds", "9",
			"--disable-builtin-k8s-secret-store", "--placement-host-address", "p:1", "--unix-domain-socket-path", "/s", "--dapr-image", "daprd:2",
			"--env", "A=1,B=2", "--volume-mounts", "a:/a", "--volume-mounts-rw", "b:/b", "--cpu-request", "100m", "--cpu-limit", "1",
			"--memory-request", "64Mi", "--memory-limit", "1Gi", "--liveness-probe-delay", "1", "--liveness-probe-timeout", "2",
			"--liveness-probe-period", "3", "--liveness-probe-threshold", "4", "--readiness-probe-delay", "5", "--readiness-probe-timeout", "6",
			"--readiness-probe-period", "7", "--readiness-probe-threshold", "8",
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, errOut, err := annotate(t, walkthrough, args...)
			require.NoError(t, err)
			require.Empty(t, errOut)
			golden.Equal(t, name+".yaml", out)
			if name == "all" {
				for _, s := range settings {
					require.Contains(t, out, "\n        "+inject.Prefix+s.annotation+": ", "--%s", s.flag)
				}
			}
		})
	}
}

func TestEveryFlagHasItsAnnotation(t *testing.T) {
	for _, s := range settings {
		_, known := inject.Lookup(s.annotation)
		require.True(t, known, s.annotation)
	}
}

func TestWarningsStandBesideTheManifest(t *testing.T) {
	out, errOut, err := annotate(t, "kind: Pod\nmetadata: {name: a, annotations: {dapr.io/app-prot: '1'}}\n", "-k")
	require.NoError(t, err)
	require.Contains(t, out, "dapr.io/app-id: default-pod-a")
	require.Contains(t, errOut, "Pod a (standard input): annotation dapr.io/app-prot is not known and does nothing; did you mean dapr.io/app-port?")
}

func TestWrongUse(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "add --kubernetes (-k)"},
		{[]string{"-k", "extra"}, "takes one file, folder or URL, or - for standard input, but was given 2"},
		{[]string{"-k", "-n", "shop"}, `--namespace "shop" says where an object is, but not which: add --resource`},
		{[]string{"-k", "-a", "Node.App"}, `--app-id "Node.App" must not contain a dot`},
		{[]string{"-k", "-p", "70000"}, `invalid value "70000" for --app-port: must be a whole number from 0 to 65535`},
		{[]string{"-k", "--app-protocol", "htp"}, `invalid value "htp" for --app-protocol: must be one of http, https, h2c, grpc, grpcs`},
		{[]string{"-k", "--cpu-limit", "lots"}, `invalid value "lots" for --cpu-limit: must be a Kubernetes quantity`},
		{[]string{"-k", "--max-body-size", "4MB"}, `invalid value for --max-body-size: "4MB" is not a size`},
		{[]string{"-k", "-r", "other"}, `there is no object "other"; there are Deployment nodeapp (standard input, document 2), Job import`},
		{[]string{"-k", "-r", "nodeapp", "-n", "shop"}, `there is no object "nodeapp" in namespace "shop"; there are Deployment nodeapp`},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			out, _, err := annotate(t, walkthrough, tt.args...)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, out)
		})
	}
	_, _, err := annotate(t, "kind: Service\n", "-k")
	require.EqualError(t, err, "nothing to annotate: there is no CronJob, DaemonSet, Deployment, Job, Pod, ReplicaSet, ReplicationController, StatefulSet")
	_, _, err = annotate(t, "kind: Pod\nmetadata: {name: a.b}\n", "-k")
	require.ErrorContains(t, err, `Pod a.b (standard input) needs an id of its own; give --app-id: annotation dapr.io/app-id "default-pod-a.b" must not contain a dot`)
}
