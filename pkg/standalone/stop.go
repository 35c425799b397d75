package standalone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// stopLimit is how long Stop waits: the grace of the run, and some time for a
// machine under load.
const stopLimit = DefaultGrace + 5*time.Second

// stopEvent is the name of the event through which Stop reaches the CLI with the
// given process id on Windows, which has no signal for that. Tools know it.
func stopEvent(pid int) string { return fmt.Sprintf("dapr_cli_%d", pid) }

// Stop ends the runs of an app and returns when nothing of them is left, also
// those whose CLI was killed. When the app does not run it returns ErrAppNotFound,
// with the ids of those that do.
func Stop(ctx context.Context, l Layout, appID string) error {
	running, err := instances.List(l.Instances())
	if err != nil {
		return err
	}
	var errs []error
	var ending []int
	found := false
	for _, entry := range running {
		if entry.AppID != appID {
			continue
		}
		found = true
		i := describe(entry)
		if i.abandoned() {
			if ended, err := endAbandoned(ctx, l, entry); ended || err != nil {
				errs = append(errs, err)
				continue
			}
		}
		pid := i.supervisor()
		if err := requestStop(pid); err != nil && alive(pid) {
			errs = append(errs, fmt.Errorf("stop process %d: %w", pid, err))
			continue
		}
		ending = append(ending, pid, i.DaprdPID, i.AppPID)
	}
	if !found {
		return appNotFound(appID, running)
	}
	if err := awaitEnd(ctx, ending); err != nil {
		return errors.Join(append(errs, err)...)
	}
	_, err = instances.List(l.Instances()) // removes the entries of those that were killed
	return errors.Join(append(errs, err)...)
}

// supervisor is the process that ends the run: the CLI, or the sidecar itself
// when there is none. The CLI may be gone and its number another process's, whom
// it would be wrong to stop.
func (i Instance) supervisor() int {
	if i.CLIPID > 0 && isChild(i.DaprdPID, i.CLIPID) {
		return i.CLIPID
	}
	return i.DaprdPID
}

// awaitEnd waits until none of the processes is left.
func awaitEnd(ctx context.Context, pids []int) error {
	var left []int
	err := poll(ctx, time.Now().Add(stopLimit), func() (bool, error) {
		left = slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return pid == 0 || !alive(pid) })
		return len(left) == 0, nil
	})
	if err == nil && len(left) > 0 {
		slices.Sort(left)
		err = fmt.Errorf("still running: processes %v", slices.Compact(left))
	}
	return err
}
