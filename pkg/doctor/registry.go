package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/unixsocket"
)

// checkRegistry looks for entries and sockets of sidecars that are gone.
func checkRegistry(_ context.Context, m *Machine) ([]Finding, error) {
	entries, err := instances.Inspect(m.Layout.Instances())
	if err != nil {
		return nil, err
	}
	var found []Finding
	var stale, sockets []string
	for _, e := range entries {
		switch {
		case e.Alive && e.Err != nil && !errors.Is(e.Err, fs.ErrNotExist):
			found = append(found, fault("the entry of a sidecar that runs cannot be read: %v", e.Err).
				because("\"dapr list\" fails, and so do calls to its app").mend("restart the app; if it does not stop, end process %s", pidOf(e.Path)))
		case e.Alive:
		default:
			stale = append(stale, filepath.Base(e.Path))
			sockets = append(sockets, staleSockets(e.Instance)...)
		}
	}
	if len(stale)+len(sockets) > 0 {
		text := fmt.Sprintf("%s of sidecars that are gone: %s", entriesOf(len(stale)), few(stale))
		if len(sockets) > 0 {
			text += fmt.Sprintf("; and their sockets: %s", few(sockets))
		}
		found = append(found, warn("%s", text).because("they were killed with everything that would have cleaned up").mend(fixCommand).
			by(func(context.Context) (string, error) {
				var errs []error
				for _, s := range sockets {
					errs = append(errs, os.Remove(s))
				}
				_, err := instances.List(m.Layout.Instances()) // removes the entries of the dead
				return "removed " + few(append(stale, sockets...)), errors.Join(append(errs, err)...)
			}))
	}
	if len(found) == 0 {
		found = append(found, okay("no entry or socket is of a sidecar that is gone"))
	}
	return found, nil
}

func entriesOf(n int) string {
	if n == 1 {
		return "1 registry entry"
	}
	return fmt.Sprintf("%d registry entries", n)
}

// pidOf is the process that an entry is named after.
func pidOf(path string) string { return path[strings.LastIndex(path, "@")+1:] }

// staleSockets are those of a sidecar that nobody answers on.
func staleSockets(i instances.Instance) []string {
	if i.SocketDir == "" {
		return nil
	}
	var stale []string
	for _, face := range []string{"http", "grpc"} {
		path := unixsocket.Path(i.SocketDir, i.AppID, face)
		if dead, err := unixsocket.Stale(path); err == nil && dead {
			stale = append(stale, path)
		}
	}
	return stale
}

// checkProcesses looks for sidecars that nobody looks after any more.
func checkProcesses(_ context.Context, m *Machine) ([]Finding, error) {
	running, err := m.alive()
	if err != nil {
		return nil, err
	}
	pids, err := m.Processes(m.Layout.Daprd())
	if err != nil {
		return nil, err
	}
	known := make(map[int]bool)
	var found []Finding
	for _, i := range running {
		known[i.PID] = true
		if m.Abandoned(i) {
			found = append(found, warn("the sidecar of %s (process %d) runs on, but the \"dapr run\" that started it is gone", i.AppID, i.PID).
				because("nobody ends it when its app ends").mend("dapr stop --app-id %s", i.AppID))
		}
	}
	for _, pid := range pids {
		if !known[pid] {
			found = append(found, warn("process %d is a sidecar of %s that is not in the registry", pid, m.Layout.Daprd()).
				because("\"dapr list\" and \"dapr stop\" do not know it, and other apps cannot call its app").mend("end process %d", pid))
		}
	}
	if len(found) == 0 {
		found = append(found, okay("no sidecar is abandoned; %d run", len(running)))
	}
	return found, nil
}
