//go:build kubernetes

package kubernetes

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHighAvailability kills one of three of every service, changes certificates
// and takes the control plane away, while apps call each other. It leaves the
// cluster as it was.
func TestHighAvailability(t *testing.T) {
	c := theCluster(t)
	images(t, c)
	// Identities that are renewed every few seconds, so that all of this happens
	// amid renewals.
	c.types(t, "init", "-k", "--wait", "--timeout", "120", "--enable-ha",
		"--set", "global.mtls.workloadCertTTL=40s", "--set", "dapr_operator.watchInterval=2s")
	require.NoError(t, c.threeOfEach(t))
	stateStore(t, c)
	c.kubectl(t, "apply", "-f", sample("node"))
	c.waitForPod(t, "app=node", "2/2")
	l := c.startLoad(t)
	c.startProbe(t) // it has actors, and knows the root of now and no other
	eventually(t, 20*time.Second, func() error { return c.placed(t, 0) })
	c.tell(t, []step{
		{name: "a process of each is killed", do: l.under(crash)},
		{name: "a pod of each is deleted", do: l.under(deletion)},
		{name: "the root certificate is replaced", do: l.under(replacedRoot)},
		{name: "a pod that slips past the injector is made anew", do: l.under(slipsPast)},
		{name: "the control plane is removed", do: l.under(func(t *testing.T, c cluster) { c.types(t, "uninstall", "-k", "--all") })},
	})
	c.nothingLeft(t)
	c.endProbe(t)
	for _, file := range []string{"testdata/load.yaml", sample("node"), sample("redis")} {
		c.kubectl(t, "delete", "-f", file)
	}
	c.kubectl(t, "wait", "--for=delete", "pods", "--all", "--timeout=60s")
}

// threeOfEach tells which service has not three ready pods.
func (c cluster) threeOfEach(t *testing.T) error {
	t.Helper()
	const ready = `jsonpath={range .items[*]}{.metadata.name} {.status.readyReplicas}{"\n"}{end}`
	out := c.kubectl(t, "get", "deployments,statefulsets", "-n", "dapr-system", "-o", ready)
	for line := range strings.Lines(out) {
		if _, n, _ := strings.Cut(strings.TrimSpace(line), " "); n != "3" {
			return fmt.Errorf("not ready: %s", out)
		}
	}
	return nil
}

// leaders are one pod of each service: the leading one where there is one.
func (c cluster) leaders(t *testing.T) map[string]pod {
	t.Helper()
	chosen := make(map[string]pod)
	for _, service := range []string{"dapr-sentry", "dapr-sidecar-injector"} {
		chosen[service] = c.replicas(t, service)[0]
	}
	for service, leads := range map[string]func(pod) (bool, error){
		"dapr-operator": func(p pod) (bool, error) {
			return p.Metadata.Name == c.kubectl(t, "get", "lease", "operator.dapr.io", "-n", "dapr-system", "-o", "jsonpath={.spec.holderIdentity}"), nil
		},
		"dapr-placement-server": func(p pod) (bool, error) {
			metrics, err := c.get(t, "http://"+p.Status.PodIP+":9090/metrics")
			return strings.Contains(metrics, "\ndapr_placement_leader_status 1\n"), err
		},
	} {
		eventually(t, 40*time.Second, func() error {
			var leading []pod
			for _, p := range c.replicas(t, service) {
				is, err := leads(p)
				if err != nil {
					return err
				}
				if is {
					leading = append(leading, p)
				}
			}
			if len(leading) != 1 {
				return fmt.Errorf("%d pods of %s lead", len(leading), service)
			}
			chosen[service] = leading[0]
			return nil
		})
	}
	return chosen
}

func (c cluster) replicas(t *testing.T, service string) []pod {
	t.Helper()
	return c.podsIn(t, "dapr-system", "app="+service)
}

// crash kills the processes with the signal that leaves them no time.
func crash(t *testing.T, c cluster) {
	killed, tables := c.leaders(t), c.tables(t)
	for service, p := range killed {
		pids := c.processes(t, p)
		require.Len(t, pids, 1, "%s: %v", p.Metadata.Name, pids)
		for pid := range pids {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
		t.Logf("killed the process of %s: %s", service, p.Metadata.Name)
	}
	for service, before := range killed {
		eventually(t, 30*time.Second, func() error {
			for _, p := range c.replicas(t, service) {
				if p.Metadata.Name == before.Metadata.Name && p.Status.ContainerStatuses[0].RestartCount > before.Status.ContainerStatuses[0].RestartCount {
					return nil
				}
			}
			return fmt.Errorf("%s was not started again", before.Metadata.Name)
		})
	}
	eventually(t, 60*time.Second, func() error { return c.threeOfEach(t) })
	c.leaders(t)
	eventually(t, 20*time.Second, func() error { return c.placed(t, tables) })
}

// deletion deletes pods, and meanwhile makes an app.
func deletion(t *testing.T, c cluster) {
	deleted, tables := c.leaders(t), c.tables(t)
	args := []string{"delete", "pods", "-n", "dapr-system", "--wait=false"}
	for _, p := range deleted {
		args = append(args, p.Metadata.Name)
	}
	t.Log(c.kubectl(t, args...))
	c.kubectl(t, "apply", "-f", "testdata/newcomer.yaml")
	eventually(t, 20*time.Second, func() error {
		if len(c.pods(t, "app=newcomer")) != 1 {
			return fmt.Errorf("there is no pod of the new app yet")
		}
		return nil
	})
	first := c.pods(t, "app=newcomer")[0].Metadata.Name
	require.Equal(t, first, c.waitForPod(t, "app=newcomer", "2/2").Metadata.Name, "it had its sidecar from the beginning")
	require.Contains(t, c.kubectl(t, "logs", first, "-c", "daprd"), "spiffe://public/ns/default/newcomer", "it has its identity")

	eventually(t, 60*time.Second, func() error { return c.threeOfEach(t) })
	leader := c.leaders(t)["dapr-operator"]
	require.NotEqual(t, deleted["dapr-operator"].Metadata.Name, leader.Metadata.Name, "another one leads")
	eventually(t, 20*time.Second, func() error { return c.placed(t, tables) })
	c.kubectl(t, "delete", "-f", "testdata/newcomer.yaml")
}

// replacedRoot gives the cluster another root, which the sidecars take one after
// the other, while those that know the old one only are still talked to.
func replacedRoot(t *testing.T, c cluster) {
	node, caller := c.waitForPod(t, "app=node", "2/2"), c.waitForPod(t, "app=load", "2/2")
	sidecar := node.Status.PodIP + ":50002"
	old := c.probe(t, "issuer", sidecar)
	c.types(t, "mtls", "renew-certificate", "-k", "--valid-until", "100")
	anchors := c.kubectl(t, "get", "configmap", "dapr-trust-bundle", "-n", "dapr-system", "-o", `jsonpath={.data.ca\.crt}`)
	require.Equal(t, 2, strings.Count(anchors, "BEGIN CERTIFICATE"), "the old root and the new one")
	for _, address := range []string{sidecar, caller.Status.PodIP + ":50002"} {
		eventually(t, time.Minute, func() error {
			if c.probe(t, "issuer", address) == old {
				return fmt.Errorf("the certificate of %s is still that of the old issuer", address)
			}
			return nil
		})
	}
	require.Equal(t, "answered 200\n", c.probe(t, "call", "itself", "probe", "GET order", sidecar), "who knows the old root trusts the new certificates")
}

// slipsPast makes an app while no injector is there.
func slipsPast(t *testing.T, c cluster) {
	c.kubectl(t, "scale", "deployment/dapr-sidecar-injector", "-n", "dapr-system", "--replicas=0")
	// One that is on its way out still answers.
	eventually(t, 40*time.Second, func() error {
		if left := c.kubectl(t, "get", "pods", "-n", "dapr-system", "-l", "app=dapr-sidecar-injector", "-o", "name"); left != "" {
			return fmt.Errorf("there still is %s", left)
		}
		return nil
	})
	c.kubectl(t, "apply", "-f", "testdata/newcomer.yaml")
	bare := c.waitForPod(t, "app=newcomer", "1/1")
	c.kubectl(t, "scale", "deployment/dapr-sidecar-injector", "-n", "dapr-system", "--replicas=3")
	whole := c.waitForPod(t, "app=newcomer", "2/2")
	require.NotEqual(t, bare.Metadata.Name, whole.Metadata.Name)
	c.kubectl(t, "delete", "-f", "testdata/newcomer.yaml")
}
