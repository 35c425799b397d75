package inject

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/test/golden"
)

// put runs the command on a manifest.
func put(t *testing.T, manifest string, args ...string) (out, errOut string, err error) {
	t.Helper()
	streams, in, outBuf, errBuf := iostreams.Test()
	_, err = in.Write([]byte(manifest))
	require.NoError(t, err)
	cmd := NewCmdInject(cmdutil.NewFactory(nil, streams), nil)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append(args, "-"))
	err = cmd.ExecuteContext(t.Context())
	return outBuf.String(), errBuf.String(), err
}

const manifests = `# The app of the walkthrough, as it was written in 2019.
kind: Deployment
metadata: {name: nodeapp}
spec:
  replicas: 1 # one is enough
  template:
    metadata:
      labels: {app: node}
      annotations:
        dapr.io/enabled: "true"
        dapr.io/id: "nodeapp"
        dapr.io/port: "3000"
    spec:
      containers:
      - name: node
        image: hello-node:1
---
kind:  Service
---
kind: CronJob
metadata: {name: nightly, namespace: batch}
spec:
  jobTemplate:
    spec:
      template:
        metadata:
          annotations: {dapr.io/enabled: "true", dapr.io/app-id: nightly, dapr.io/app-port: many, dapr.io/inject-pluggable-components: "true"}
        spec:
          containers: [{name: work, image: work:1}]
---
kind: Component
metadata:
  name: cache
  namespace: batch
  annotations: {dapr.io/component-container: '{"image":"cache:1"}'}
scopes: [nightly]
---
kind: Pod
metadata: {name: plain}
spec: {containers: [{name: c}]}
`

func TestInject(t *testing.T) {
	anchors := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(anchors, []byte("-----BEGIN CERTIFICATE-----\nAA==\n"), 0o600))
	out, errOut, err := put(t, manifests, "--image", "registry.example/dapr:1", "--trust-anchors", anchors, "--native-sidecar", "--image-pull-policy", "Never",
		"-n", "sys", "--cluster-domain", "corp.example", "--trust-domain", "corp", "--enable-scheduler=false")
	require.NoError(t, err)
	golden.Equal(t, "injected.yaml", out)
	golden.Equal(t, "injected.txt", errOut)

	// What is printed is what the injector then leaves alone.
	again, errOut, err := put(t, out)
	require.NoError(t, err)
	require.Equal(t, out, again)
	require.NotContains(t, errOut, "gets a sidecar")
}

func TestWithoutTrustAnchors(t *testing.T) {
	const warning = "the sidecars are to prove who they are, but do not know whom to trust: give --trust-anchors, or --enable-mtls=false"
	out, errOut, err := put(t, manifests)
	require.NoError(t, err)
	require.Contains(t, errOut, warning)
	require.Contains(t, out, "ghcr.io/hyperdapr/dapr:")
	require.Contains(t, out, "dapr-sentry.dapr-system.svc.cluster.local:443")

	out, errOut, err = put(t, manifests, "--enable-mtls=false")
	require.NoError(t, err)
	require.NotContains(t, errOut, warning)
	require.NotContains(t, out, "--enable-mtls")
	_, errOut, err = put(t, "kind: Service\n")
	require.NoError(t, err)
	require.Empty(t, errOut)
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		manifest, want string
		args           []string
	}{
		{"kind: Pod\n", "takes one file, folder or URL", []string{"x"}},
		{"kind: Pod\n", "--trust-anchors: open none", []string{"--trust-anchors", "none"}},
		{"kind: Pod\n", "must be Always, IfNotPresent or Never", []string{"--image-pull-policy", "x"}},
		{"", "standard input is empty", nil},
		{`{"kind":"Pod","metadata":{"name":"a","annotations":{"dapr.io/enabled":"true","dapr.io/id":"A"}},"spec":{"containers":[{}]}}`,
			`Pod a (standard input): annotation dapr.io/app-id "A" must consist of lower-case letters`, nil},
	} {
		out, _, err := put(t, tt.manifest, tt.args...)
		require.ErrorContains(t, err, tt.want)
		require.Empty(t, out)
	}
}
