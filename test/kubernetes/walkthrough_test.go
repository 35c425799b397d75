//go:build kubernetes

package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWalkthrough is the whole story, in the order of a reader who follows it.
func TestWalkthrough(t *testing.T) {
	c := theCluster(t)
	c.tell(t, []step{
		{name: "images are built and loaded", do: images},
		{name: "nothing is installed yet", do: beforeInit},
		{name: "an installation that fails undoes itself", do: failedInit},
		{name: "the control plane is installed", do: initialise},
		{name: "status tells how it is", do: status},
		{name: "it holds little memory", do: idleMemory, measures: true},
		{name: "Redis and the component are applied", do: stateStore},
		{name: "legacy apps share state", do: func(t *testing.T, c cluster) { apps(t, c, "testdata/legacy", "/v1.0/state") }},
		{name: "state outlives both apps", do: stateSurvives},
		{name: "the commands show the apps", do: commands},
		{name: "the sidecar refuses strangers", do: strangersAreRefused},
		{name: "the same in today's form", do: func(t *testing.T, c cluster) { apps(t, c, deploy, "/v1.0/state/statestore") }},
		{name: "a denied method is refused", do: deniedMethod},
		{name: "a stolen identity is refused", do: stolenIdentity},
		{name: "an upgrade disturbs nobody", do: func(t *testing.T, c cluster) { undisturbed(t, c, upgrade) }},
		{name: "certificates are renewed under load", do: func(t *testing.T, c cluster) { undisturbed(t, c, renew) }},
		{name: "mistakes are told of", do: mistakes},
		{name: "the apps go on when nothing is left", do: func(t *testing.T, c cluster) { undisturbed(t, c, uninstall) }},
	})
}

func images(t *testing.T, c cluster) {
	c.loadRuntime(t)
	c.loadApps(t)
	c.loadProbe(t)
}

func beforeInit(t *testing.T, c cluster) {
	require.Contains(t, c.fails(t, "status", "-k"), `run "dapr init -k"`)
	require.Contains(t, c.fails(t, "components", "-k"), "does not know components.dapr.io; is the runtime installed there?")
	require.Contains(t, c.types(t, "list", "-k"), "No Dapr instances found.")
}

// failedInit types what cannot work, and reads why.
func failedInit(t *testing.T, c cluster) {
	noCluster(t, c)
	out := c.fails(t, "init", "-k", "--set", "global.mtls.enabld=true")
	require.Contains(t, out, `did you mean "enabled"`)
	require.Contains(t, c.fails(t, "init", "-k", "--set", "global.ha.replicaCount=many"), "global.ha.replicaCount")
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{
			"an image that cannot be pulled", []string{"--image-registry", "registry.invalid/team"},
			[]string{"not ready in time: ", "the image registry.invalid/team/dapr:", "cannot be pulled: failed to pull", "lookup registry.invalid"},
		},
		{
			"a node that is not there", []string{"--set", "global.nodeSelector.disk=fast"},
			[]string{"not ready in time: ", "no node takes it: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector"},
		},
		{
			"a crash", []string{"--set", "dapr_sentry.extraArgs={--nonsense}"},
			[]string{"not ready in time: ", "it ended with exit code 2", "| sentry: unknown flag --nonsense"},
		},
	} {
		out := c.fails(t, append([]string{"init", "-k", "--wait", "--timeout", "8"}, tt.args...)...)
		for _, want := range tt.want {
			require.Contains(t, out, want, tt.name)
		}
		c.nothingLeft(t)
	}
	tooFewRights(t, c)
}

func noCluster(t *testing.T, c cluster) {
	require.Contains(t, c.fails(t, "status", "-k", "--kubeconfig", filepath.Join(t.TempDir(), "none")), "no such file")
	require.Contains(t, c.fails(t, "init", "-k", "--context", "kubeon"), `has no context "kubeon" (it has kubeone); did you mean "kubeone"?`)

	elsewhere := filepath.Join(t.TempDir(), "kubeconfig")
	config := c.kubectl(t, "config", "view", "--raw", "--minify")
	require.NoError(t, os.WriteFile(elsewhere, []byte(config), 0o600))
	c.kubectl(t, "--kubeconfig", elsewhere, "config", "set-cluster", "kubeone", "--server=https://127.0.0.1:1")
	require.Contains(t, c.fails(t, "init", "-k", "--kubeconfig", elsewhere), "connection refused; is it running, and is the context right?")

	nowhere := c
	nowhere.env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	require.Contains(t, nowhere.fails(t, "init", "-k"), "no cluster to talk to: there is no kubeconfig in ")
}

// tooFewRights is somebody who may look, and make Deployments, and no more.
func tooFewRights(t *testing.T, c cluster) {
	c.kubectl(t, "create", "serviceaccount", "guest")
	c.kubectl(t, "create", "clusterrole", "guest", "--verb=get,list,create", "--resource=pods,secrets,deployments.apps")
	c.kubectl(t, "create", "clusterrolebinding", "guest", "--clusterrole=guest", "--serviceaccount=default:guest")
	guest := filepath.Join(t.TempDir(), "kubeconfig")
	config := c.kubectl(t, "config", "view", "--raw", "--minify")
	require.NoError(t, os.WriteFile(guest, []byte(config), 0o600))
	token := c.kubectl(t, "create", "token", "guest")
	c.kubectl(t, "--kubeconfig", guest, "config", "set-credentials", "guest", "--token="+token)
	c.kubectl(t, "--kubeconfig", guest, "config", "set-context", "--current", "--user=guest")
	out := c.fails(t, "init", "-k", "--kubeconfig", guest)
	require.Contains(t, out, "too few rights")
	require.Contains(t, out, "statefulsets.apps: create")
	require.NotContains(t, out, "deployments.apps", "that right it has")
	c.nothingLeft(t)
	c.types(t, "list", "-k", "--kubeconfig", guest)
	c.kubectl(t, "delete", "clusterrolebinding/guest", "clusterrole/guest", "serviceaccount/guest")
}

func initialise(t *testing.T, c cluster) {
	out := c.types(t, "init", "-k", "--wait", "--timeout", "240")
	require.Contains(t, out, "Making the jump to hyperspace...")
	require.Contains(t, out, "dapr status -k")
}

type serviceStatus struct{ Name, Namespace, Healthy, Status, Version string }

func (c cluster) services(t *testing.T) map[string]serviceStatus {
	t.Helper()
	var all []serviceStatus
	out := c.types(t, "status", "-k", "-o", "json")
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	services := make(map[string]serviceStatus)
	for _, s := range all {
		services[s.Name] = s
	}
	return services
}

func status(t *testing.T, c cluster) {
	services := c.services(t)
	for _, name := range []string{"dapr-operator", "dapr-placement-server", "dapr-sentry", "dapr-sidecar-injector"} {
		s := services[name]
		require.Equal(t, "True", s.Healthy, name)
		require.Equal(t, "Running", s.Status, name)
		require.Equal(t, "dapr-system", s.Namespace, name)
	}
	require.Contains(t, c.types(t, "status", "-k"), "NAME")
	require.Contains(t, c.types(t, "mtls", "-k"), "Mutual TLS is enabled in your Kubernetes cluster")
	require.Contains(t, c.types(t, "mtls", "expiry"), "Root certificate expires in ")
}

func stateStore(t *testing.T, c cluster) {
	c.kubectl(t, "apply", "-f", sample("redis"))
	c.kubectl(t, "rollout", "status", "deployment/redis", "--timeout=90s")
	require.Equal(t, "component.dapr.io/statestore created", c.kubectl(t, "apply", "-f", sample("statestore")))
	require.Contains(t, c.types(t, "components", "-k"), "state.redis")
}

// deploy holds the manifests of the sample.
const deploy = "../../samples/hello/deploy"

// sample is the path of one of them.
func sample(name string) string { return filepath.Join(deploy, name+".yaml") }

// apps applies the manifests of both apps in a folder and watches them work
// together.
func apps(t *testing.T, c cluster, folder, route string) {
	c.kubectl(t, "apply", "-f", filepath.Join(folder, "node.yaml"))
	c.kubectl(t, "rollout", "status", "deployment/nodeapp", "--timeout=120s")
	node := c.waitForPod(t, "app=node", "2/2")
	c.kubectl(t, "apply", "-f", filepath.Join(folder, "python.yaml"))
	c.kubectl(t, "rollout", "status", "deployment/pythonapp", "--timeout=120s")
	c.waitForPod(t, "app=python", "2/2")
	c.grows(t)

	log := c.kubectl(t, "logs", "--selector=app=node", "-c", "node", "--tail=-1")
	require.Contains(t, log, "keeps orders at "+route+"\n")
	require.Regexp(t, `Got a new order! Order ID: \d+\nSuccessfully persisted state\.\nGot a new order! Order ID: \d+\nSuccessfully persisted state\.\n`, log)
	require.NotContains(t, c.kubectl(t, "logs", node.Metadata.Name, "-c", "daprd", "--tail=-1"), "open sesame", "no secret in a log")
}

// order asks the Node app for the latest order, from the node.
func (c cluster) order(t *testing.T) (int, error) {
	t.Helper()
	address := c.kubectl(t, "get", "service", "nodeapp", "-o", "jsonpath={.spec.clusterIP}")
	out, err := c.get(t, "http://"+address+"/order")
	if err != nil {
		return 0, err
	}
	var order struct{ OrderID int }
	if err := json.Unmarshal([]byte(out), &order); err != nil {
		return 0, fmt.Errorf("order %q: %w", out, err)
	}
	return order.OrderID, nil
}

// grows watches until the order has grown three times in a row, and returns the
// last. A Python app that was started anew counts from 1.
func (c cluster) grows(t *testing.T) int {
	t.Helper()
	var seen []int
	eventually(t, time.Minute, func() error {
		id, err := c.order(t)
		switch {
		case err != nil:
		case len(seen) == 0 || id > seen[len(seen)-1]:
			seen = append(seen, id)
			fallthrough
		case id == seen[len(seen)-1]:
			err = errors.New("none yet")
		default:
			seen, err = nil, fmt.Errorf("back to %d", id)
		}
		if len(seen) < 4 {
			return fmt.Errorf("orders so far: %v, then: %w", seen, err)
		}
		return nil
	})
	t.Logf("orders: %v", seen)
	return seen[len(seen)-1]
}

func stateSurvives(t *testing.T, c cluster) {
	c.kubectl(t, "scale", "deployment/pythonapp", "--replicas=0")
	eventually(t, time.Minute, func() error {
		if n := len(c.pods(t, "app=python")); n > 0 {
			return fmt.Errorf("%d pods of the Python app", n)
		}
		return nil
	})
	var before int
	eventually(t, 30*time.Second, func() (err error) { before, err = c.order(t); return err })
	c.kubectl(t, "delete", "pod", "-l", "app=node", "--wait=true", "--timeout=90s")
	c.waitForPod(t, "app=node", "2/2")
	eventually(t, 30*time.Second, func() error {
		after, err := c.order(t)
		if err == nil && after != before {
			return fmt.Errorf("the order was %d before both apps ended, and is %d now", before, after)
		}
		return err
	})
	t.Logf("order %d outlived both apps", before)
	c.kubectl(t, "scale", "deployment/pythonapp", "--replicas=1")
	c.waitForPod(t, "app=python", "2/2")
	c.grows(t)
}

func commands(t *testing.T, c cluster) {
	list := c.types(t, "list", "-k")
	require.Regexp(t, `default\s+nodeapp\s+3000\s`, list)
	require.Regexp(t, `default\s+pythonapp\s`, list)
	logs := c.types(t, "logs", "-k", "-a", "nodeapp", "--tail", "5")
	require.Contains(t, logs, "Fetched logs")
	require.Contains(t, c.fails(t, "logs", "-k", "-a", "nodeap"), `did you mean "nodeapp"?`)
	require.Contains(t, c.types(t, "components", "-k", "-o", "yaml"), "secretKeyRef")
	certs := filepath.Join(t.TempDir(), "certs")
	c.types(t, "mtls", "export", "--out", certs)
	for _, file := range []string{"ca.crt", "issuer.crt", "issuer.key"} {
		require.FileExists(t, filepath.Join(certs, file))
	}
}

// strangersAreRefused calls the Node app's sidecar over the network, without a
// certificate. That the app answers one with a certificate is seen before.
func strangersAreRefused(t *testing.T, c cluster) {
	node := c.waitForPod(t, "app=node", "2/2").Status.PodIP
	c.startProbe(t)
	defer c.endProbe(t)
	require.Equal(t, "answered 200\n", c.probe(t, "call", "itself", "probe", "GET order", node+":50002"))
	c.probeIsRefused(t, "error reading server preface", "call", "plaintext", "probe", "GET order", node+":50002")
	c.probeIsRefused(t, "remote error: tls: ", "call", "nobody", "probe", "GET order", node+":50002")
	// What is for the app alone listens where only the app reaches it.
	for _, port := range []string{"3500", "50001"} {
		_, err := c.get(t, "http://"+node+":"+port+"/v1.0/healthz")
		require.ErrorContains(t, err, "connection refused", "port %s", port)
	}
}

// deniedMethod gives the Node app a policy, and takes it away again.
func deniedMethod(t *testing.T, c cluster) {
	original := sample("node")
	manifest, err := os.ReadFile(original)
	require.NoError(t, err)
	guarded := filepath.Join(t.TempDir(), "node.yaml")
	const enabled = `dapr.io/enabled: "true"`
	text := strings.Replace(string(manifest), enabled, enabled+"\n        dapr.io/config: guarded", 1)
	require.NoError(t, os.WriteFile(guarded, []byte(text), 0o600))

	c.kubectl(t, "apply", "-f", "testdata/guarded.yaml")
	c.kubectl(t, "apply", "-f", guarded)
	c.kubectl(t, "rollout", "status", "deployment/nodeapp", "--timeout=120s")
	eventually(t, 30*time.Second, func() error {
		log := c.kubectl(t, "logs", "-l", "app=python", "-c", "python", "--tail=1")
		if !strings.Contains(log, "was refused: 403") {
			return fmt.Errorf("the Python app says: %s", log)
		}
		t.Log(log)
		return nil
	})
	require.Contains(t, c.types(t, "configurations", "-k"), "guarded")

	c.kubectl(t, "apply", "-f", original)
	c.kubectl(t, "rollout", "status", "deployment/nodeapp", "--timeout=120s")
	c.waitForPod(t, "app=node", "2/2")
	c.grows(t)
}

// undisturbed does something while both apps work and a third one calls all the
// time, and no call may fail.
func undisturbed(t *testing.T, c cluster, do func(*testing.T, cluster)) {
	l := c.startLoad(t)
	python := c.waitForPod(t, "app=python", "2/2").Metadata.Name
	node := c.waitForPod(t, "app=node", "2/2").Metadata.Name
	begin := c.grows(t)
	since := time.Now().UTC().Format(time.RFC3339)

	l.through(t, func() { do(t, c) })

	end := c.grows(t)
	require.Greater(t, end, begin)
	require.Equal(t, python, c.waitForPod(t, "app=python", "2/2").Metadata.Name, "the pod is the same")
	require.Equal(t, node, c.waitForPod(t, "app=node", "2/2").Metadata.Name, "the pod is the same")
	log := c.kubectl(t, "logs", python, "-c", "python", "--since-time="+since)
	sent := strings.Count(log, "Sent order ")
	require.Equal(t, len(strings.Split(log, "\n")), sent, "a call has failed:\n%s", log)
	require.Greater(t, sent, 3)
	t.Logf("%d orders sent meanwhile, none lost", sent)
}

func upgrade(t *testing.T, c cluster) {
	version := c.services(t)["dapr-operator"].Version
	require.Contains(t, c.types(t, "upgrade", "-k", "--runtime-version", version, "--timeout", "240"), "Nothing to do")
	// Other settings restart every service.
	c.types(t, "upgrade", "-k", "--runtime-version", version, "--timeout", "240", "--set", "global.logAsJson=true")
	require.Contains(t, c.kubectl(t, "logs", "-n", "dapr-system", "-l", "app=dapr-sentry", "--tail=1"), `"level":"info"`)
	status(t, c)
}

func renew(t *testing.T, c cluster) {
	c.types(t, "mtls", "renew-certificate", "-k", "--valid-until", "100", "--restart")
	require.Regexp(t, `expires in 2\d\d\d hours`, c.types(t, "mtls", "expiry"))

	status(t, c)
}

func mistakes(t *testing.T, c cluster) {
	require.Contains(t, c.fails(t, "init", "-k"), "is installed already, in the namespace dapr-system")

	out, err := c.tryKubectl(t, "apply", "-f", "testdata/badid.yaml")
	t.Log(out)
	require.Error(t, err)
	require.Contains(t, out, `dapr.io/app-id "my.app" must not contain a dot`)

	c.kubectl(t, "apply", "-f", "testdata/lost.yaml")
	eventually(t, time.Minute, func() error {
		log, err := c.tryKubectl(t, "logs", "lost", "-c", "daprd")
		if err != nil || !strings.Contains(log, "lostsecret") || !strings.Contains(log, "no-such-secret") {
			return fmt.Errorf("the log of the sidecar does not name the component and the secret: %s (%w)", log, err)
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, "no-such-secret") {
				t.Log(line)
			}
		}
		return nil
	})
	injector := c.kubectl(t, "logs", "-n", "dapr-system", "-l", "app=dapr-sidecar-injector", "--tail=-1")
	require.Contains(t, injector, `annotation dapr.io/sidecar-cpu-limit \"much\" is ignored: must be a Kubernetes quantity`)
	c.kubectl(t, "delete", "-f", "testdata/lost.yaml")
}

func uninstall(t *testing.T, c cluster) {
	c.types(t, "uninstall", "-k", "--all")
	require.NotContains(t, c.kubectl(t, "get", "customresourcedefinitions", "-o", "name"), "dapr.io")
	c.nothingLeft(t)
	require.Contains(t, c.fails(t, "status", "-k"), `run "dapr init -k"`)
}

// nothingLeft looks for what an installation makes, but for the kinds of its
// resources, and for the services of the apps, which go with their Deployments.
func (c cluster) nothingLeft(t *testing.T) {
	t.Helper()
	for _, kind := range []string{
		"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "clusterroles", "clusterrolebindings", "priorityclasses",
	} {
		require.NotContains(t, c.kubectl(t, "get", kind, "-o", "name"), "dapr", kind)
	}
	require.NotContains(t, c.kubectl(t, "get", "roles,rolebindings,secrets,configmaps,leases,deployments,statefulsets,persistentvolumeclaims", "-A", "-o", "name"), "dapr")
	out, err := c.tryKubectl(t, "get", "namespace", "dapr-system")
	require.Error(t, err, out)
}
