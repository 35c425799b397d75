package doctor

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// wellKnown are the ports that are used where nobody says otherwise: a daprd
// that was started by hand, and the clients of SDKs.
var wellKnown = []struct {
	port int
	use  string
}{
	{3500, "HTTP API"},
	{50001, "gRPC API"},
	{9090, "metrics"},
	{50005, "placement"},
	{50006, "scheduler"},
}

// checkPorts says who has the ports that a sidecar takes unless it is told
// otherwise.
func checkPorts(ctx context.Context, m *Machine) ([]Finding, error) {
	running, err := m.alive()
	if err != nil {
		return nil, err
	}
	ours := make(map[int]string)
	for _, i := range running {
		for _, p := range portsOf(i) {
			ours[p.port] = i.AppID
		}
	}
	var found []Finding
	var free []string
	for _, w := range wellKnown {
		app, isOurs := ours[w.port]
		switch {
		case !m.answers(ctx, local(w.port)):
			free = append(free, strconv.Itoa(w.port))
		case isOurs:
			found = append(found, info("the sidecar of %s has port %d (%s)", app, w.port, w.use))
		default:
			found = append(found, info("port %d (%s) is taken%s", w.port, w.use, m.takenBy(w.port)).
				because("\"dapr run\" takes free ports by itself; only who asks for this one cannot have it").
				mend("leave it as it is, or give that program another port"))
		}
	}
	if len(free) == len(wellKnown) {
		found = append(found, okay("the usual ports are free: %s", few(free)))
	}
	return found, nil
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// takenBy ends the sentence "port … is taken".
func (m *Machine) takenBy(port int) string {
	if name, pid, ok := m.PortOwner(port); ok {
		return fmt.Sprintf(" by %s (process %d)", name, pid)
	}
	return ""
}

// claim is a port that a sidecar has.
type claim struct {
	port int
	use  string
}

func portsOf(i instances.Instance) []claim {
	claims := []claim{{i.HTTPPort, "HTTP API"}, {i.GRPCPort, "gRPC API"}, {i.MetricsPort, "metrics"}}
	if _, port, err := net.SplitHostPort(i.Address); err == nil {
		if n, err := strconv.Atoi(port); err == nil {
			claims = append(claims, claim{n, "calls of other sidecars"})
		}
	}
	return slices.DeleteFunc(claims, func(c claim) bool { return c.port == 0 })
}

// checkSidecars asks every sidecar that runs how it is, and looks whether it and
// its app listen where the registry says so.
func checkSidecars(ctx context.Context, m *Machine) ([]Finding, error) {
	running, err := m.alive()
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, i := range running {
		bad := m.listens(ctx, i)
		if len(bad) == 0 {
			bad = m.ready(ctx, i)
		}
		if i.AppPort > 0 && !m.answers(ctx, local(i.AppPort)) {
			bad = append(bad, warn("the app %s does not listen on port %d", i.AppID, i.AppPort).
				because("calls to it fail").
				mend("make the app listen there, or give the port on which it does with \"dapr run --app-id %s --app-port PORT\"", i.AppID))
		}
		if len(bad) == 0 {
			bad = append(bad, okay("the sidecar of %s (process %d) is ready", i.AppID, i.PID))
		}
		found = append(found, bad...)
	}
	return found, nil
}

// listens looks at the ports that a sidecar claims.
func (m *Machine) listens(ctx context.Context, i instances.Instance) []Finding {
	var found []Finding
	for _, c := range portsOf(i) {
		name, pid, known := m.PortOwner(c.port)
		switch {
		case known && pid != i.PID:
			found = append(found, fault("the sidecar of %s (process %d) claims port %d (%s), but %s (process %d) has it", i.AppID, i.PID, c.port, c.use, name, pid).
				because("calls reach the wrong program").mend("dapr stop --app-id %s, and run it again", i.AppID))
		case !known && !m.answers(ctx, local(c.port)):
			found = append(found, fault("the sidecar of %s (process %d) does not answer on port %d (%s)", i.AppID, i.PID, c.port, c.use).
				because("it hangs, or has not finished starting").mend("dapr logs --app-id %s; dapr stop --app-id %s, and run it again", i.AppID, i.AppID))
		}
	}
	return found
}

// ready asks a sidecar.
func (m *Machine) ready(ctx context.Context, i instances.Instance) []Finding {
	ready, reason, err := m.Outbound(ctx, i)
	switch {
	case err != nil:
		return []Finding{fault("the sidecar of %s (process %d) does not answer: %v", i.AppID, i.PID, err).
			mend("dapr logs --app-id %s; dapr stop --app-id %s, and run it again", i.AppID, i.AppID)}
	case !ready:
		return []Finding{warn("the sidecar of %s is not ready: %s", i.AppID, reason).
			because("it goes on trying").mend("mend what it names; the log has more: dapr logs --app-id %s", i.AppID)}
	}
	return nil
}
