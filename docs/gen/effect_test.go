package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/sidecar"
)

// everything sets what has no effect, and something that has.
const everything = `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: everything}
spec:
  httpPipeline: {handlers: [{name: a, type: middleware.http.bearer}]}
  appHttpPipeline: {handlers: [{name: a, type: middleware.http.bearer}]}
  tracing: {samplingRate: "1", stdout: true}
  metrics:
    rules: [{name: a, labels: [{name: b, regex: {c: d}}]}]
    workflow: {latencyDistributionUnits: ms}
    http: {excludeVerbs: true}
  accessControl: {defaultAction: allow}
  secrets: {scopes: [{storeName: a, defaultAccess: deny}]}
  api: {denied: [{name: actors, version: v1}]}
  components: {deny: [bindings.cron]}
  logging: {apiLogging: {enabled: true}}
  wasm: {strictSandbox: true}
  workflow: {maxConcurrentWorkflowInvocations: 1}
`

const everyKind = `apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec: {type: state.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata: {name: endpoint}
spec: {baseUrl: "http://localhost:1"}
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: resiliency}
spec: {policies: {timeouts: {short: 1s}}}
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: subscription}
spec: {pubsubname: a, topic: b, routes: {default: /c}}
---
apiVersion: dapr.io/v1alpha1
kind: MCPServer
metadata: {name: mcp}
spec: {endpoint: {sse: {url: "http://localhost:1"}}}
---
apiVersion: dapr.io/v1alpha1
kind: WorkflowAccessPolicy
metadata: {name: policy}
spec: {rules: []}
`

// What the page says has no effect is what a sidecar says has none.
func TestWhatHasNoEffect(t *testing.T) {
	dir := t.TempDir()
	config, kinds := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "resources")
	require.NoError(t, os.WriteFile(config, []byte(everything), 0o600))
	require.NoError(t, os.Mkdir(kinds, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(kinds, "all.yaml"), []byte(everyKind), 0o600))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log := &untilStarted{started: cancel}
	err := sidecar.Main(ctx, []string{
		"--app-id", "everything", "--config", config, "--resources-path", kinds,
		"--dapr-http-port", "0", "--dapr-grpc-port", "0", "--enable-metrics=false", "--dapr-listen-addresses", "127.0.0.1",
	}, func(name string) (string, bool) {
		if name == "HOME" {
			return dir, true
		}
		return "", false
	}, log, log)
	require.NoError(t, err, log.text.String())

	var said []string
	for _, m := range regexp.MustCompile(`Configuration: (\S+) has no effect yet|resources of kind (\w+) have no effect yet`).
		FindAllStringSubmatch(log.text.String(), -1) {
		if m[1] != "" {
			said = append(said, "Configuration."+m[1])
		} else {
			said = append(said, m[2])
		}
	}
	// A field within a section that has an effect is not worth a warning.
	want := slices.DeleteFunc(slices.Clone(noEffect), func(path string) bool { return strings.Contains(path, "accessControl") })
	require.ElementsMatch(t, want, said, log.text.String())
}

// untilStarted keeps a log, and tells when it says that the sidecar runs.
type untilStarted struct {
	started func()

	mu   sync.Mutex
	text bytes.Buffer
}

func (u *untilStarted) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if bytes.Contains(p, []byte("dapr initialized")) {
		u.started()
	}
	return u.text.Write(p)
}
