//go:build kubernetes

package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const podToken = "/token/token"

// startProbe starts a pod with an identity of its own, which knows the trust
// anchors of now.
func (c cluster) startProbe(t *testing.T) pod {
	t.Helper()
	anchors := c.kubectl(t, "get", "configmap", "dapr-trust-bundle", "-n", "dapr-system", "-o", `jsonpath={.data.ca\.crt}`)
	c.kubectl(t, "create", "configmap", "trust", "--from-literal=ca.crt="+anchors)
	c.kubectl(t, "apply", "-f", "testdata/probe.yaml")
	return c.waitForPod(t, "app=probe", "1/1")
}

func (c cluster) endProbe(t *testing.T) {
	t.Helper()
	c.kubectl(t, "delete", "-f", "testdata/probe.yaml")
	c.kubectl(t, "delete", "configmap", "trust")
}

// probe has the pod try something, which must be answered so.
func (c cluster) probe(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.tryProbe(t, args...)
	require.NoError(t, err, "%s: %s", args, out)
	return out
}

func (c cluster) tryProbe(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := c.tryKubectl(t, append([]string{"exec", "probe", "--", "/probe"}, args...)...)
	t.Logf("probe %s\n%s", strings.Join(args, " "), out)
	return out, err
}

func (c cluster) probeIsRefused(t *testing.T, why string, args ...string) {
	t.Helper()
	out, err := c.tryProbe(t, args...)
	require.Error(t, err, "%s: %s", args, out)
	require.Contains(t, out, "refused: ", args)
	require.Contains(t, out, why, args)
}

// tables counts how often placement has told the pod which host has actors.
func (c cluster) tables(t *testing.T) int {
	t.Helper()
	return strings.Count(c.kubectl(t, "logs", "probe", "--tail=-1"), "says that 1 host has the actors")
}

// placed tells whether placement has said so again since it had done so a number
// of times.
func (c cluster) placed(t *testing.T, times int) error {
	t.Helper()
	if now := c.tables(t); now <= times {
		return fmt.Errorf("placement has told of the actors %d times:\n%s", now, c.kubectl(t, "logs", "probe", "--tail=10"))
	}
	return nil
}

// stolenIdentity tries to be another app, on every hop.
func stolenIdentity(t *testing.T, c cluster) {
	sidecar := c.waitForPod(t, "app=node", "2/2").Status.PodIP + ":50002"
	c.startProbe(t)
	defer c.endProbe(t)

	// The certificate authority looks at the token, not at the request.
	require.Equal(t, "certificate of spiffe://public/ns/default/probe\n", c.probe(t, "certificate", "probe", "default", podToken))
	c.probeIsRefused(t, `is app "probe", but the request is for app "nodeapp"`, "certificate", "nodeapp", "default", podToken)
	c.probeIsRefused(t, `but the request is for namespace "dapr-system"`, "certificate", "dapr-operator", "dapr-system", podToken)
	c.probeIsRefused(t, "the token", "certificate", "probe", "default", "/var/run/secrets/kubernetes.io/serviceaccount/token")
	// What the pod says of itself does not make it a service of the control plane.
	c.kubectl(t, "annotate", "pod", "probe", "dapr.io/control-plane=operator")
	c.probeIsRefused(t, "the control plane is in namespace dapr-system", "certificate", "dapr-operator", "default", podToken)
	c.kubectl(t, "annotate", "pod", "probe", "dapr.io/control-plane-")

	// The operator looks at the certificate.
	c.kubectl(t, "apply", "-f", "testdata/private.yaml")
	require.Equal(t, "component statestore\nthat is all\n", c.probe(t, "resources", "default"), "what is scoped to others is not shown")
	c.kubectl(t, "delete", "-f", "testdata/private.yaml")
	c.probeIsRefused(t, `spiffe://public/ns/default/probe may not read resources of the namespace "dapr-system"`, "resources", "dapr-system")

	// So does placement.
	eventually(t, 20*time.Second, func() error { return c.placed(t, 0) })
	c.probeIsRefused(t, `the caller has proved to be app "probe" and says that it is "nodeapp"`, "actors", "nodeapp")

	// And so does the other app's sidecar.
	require.Equal(t, "answered 200\n", c.probe(t, "call", "itself", "probe", "GET order", sidecar))
	c.probeIsRefused(t, "but its certificate is that of spiffe://public/ns/default/probe", "call", "itself", "pythonapp", "GET order", sidecar)
	c.probeIsRefused(t, "remote error: tls: ", "call", "forged", "pythonapp", "GET order", sidecar)
}
