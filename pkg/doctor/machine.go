package doctor

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

// Machine is what the checks of a machine look at. Nothing in it leaves the
// machine.
type Machine struct {
	// Layout is the runtime folder, and Source the programs of the CLI.
	Layout standalone.Layout
	Source standalone.Source
	// Env is the environment of the CLI, and Getenv looks into it.
	Env    []string
	Getenv func(string) string
	// Now is the clock.
	Now func() time.Time
	// UserID is that of the user, -1 where users have none.
	UserID int

	// Dial connects to an address of this machine.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve returns the addresses of a host's name.
	Resolve func(ctx context.Context, host string) ([]string, error)
	// PortOwner tells who listens on a port, where the system does.
	PortOwner func(port int) (name string, pid int, ok bool)
	// Processes lists the living processes of a program's file.
	Processes func(program string) ([]int, error)
	// DiskFree is how many bytes the user may still write at a path.
	DiskFree func(path string) (uint64, error)
	// Abandoned tells whether a sidecar's command line is gone.
	Abandoned func(instances.Instance) bool
	// Outbound asks a sidecar whether its app can call out through it.
	Outbound func(context.Context, instances.Instance) (ready bool, reason string, err error)
}

// ThisMachine returns the machine that the program runs on.
func ThisMachine(l standalone.Layout, s standalone.Source, env []string, getenv func(string) string, now func() time.Time) *Machine {
	return &Machine{
		Layout: l, Source: s, Env: env, Getenv: getenv, Now: now, UserID: os.Getuid(),
		Dial:      (&net.Dialer{Timeout: dialTimeout}).DialContext,
		Resolve:   net.DefaultResolver.LookupHost,
		PortOwner: freeport.Owner,
		Processes: standalone.Processes,
		DiskFree:  diskFree,
		Abandoned: standalone.Abandoned,
		Outbound:  standalone.Outbound,
	}
}

// dialTimeout is ample for an address of the same machine.
const dialTimeout = 2 * time.Second

// machineChecks are all checks of a machine, in the order of the report: what
// others depend on goes first.
var machineChecks = []check[*Machine]{
	{"folder", checkFolder},
	{"disk", checkDisk},
	{"clock", checkClock},
	{"loopback", checkLoopback},
	{"proxy", checkProxy},
	{"version", checkVersion},
	{"payload", checkPayload},
	{"programs", checkPrograms},
	{"leftovers", checkLeftovers},
	{"registry", checkRegistry},
	{"processes", checkProcesses},
	{"ports", checkPorts},
	{"sidecars", checkSidecars},
	{"resources", checkResources},
	{"services", checkServices},
	{"logs", checkLogs},
	{"other-installation", checkOther},
}

// Examine runs all checks.
func (m *Machine) Examine(ctx context.Context) []Finding { return examine(ctx, m, machineChecks) }

// answers tells whether somebody listens at an address.
func (m *Machine) answers(ctx context.Context, address string) bool {
	conn, err := m.Dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// alive are the registry's entries of sidecars that run.
func (m *Machine) alive() ([]instances.Instance, error) {
	entries, err := instances.Inspect(m.Layout.Instances())
	if err != nil {
		return nil, err
	}
	var running []instances.Instance
	for _, e := range entries {
		if e.Alive && e.Err == nil {
			running = append(running, e.Instance)
		}
	}
	return running, nil
}

// fixCommand mends what is fixable.
const fixCommand = "dapr doctor --fix"
