package standalone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// stopLimit is how long Stop waits: the grace of the run, and some time for a
// machine under load.
const stopLimit = DefaultGrace + 5*time.Second

// Stop ends the runs of an app and returns when nothing of them is left. When the
// app does not run it returns ErrAppNotFound, with the ids of those that do.
func Stop(ctx context.Context, l Layout, appID string) error {
	running, err := instances.List(l.Instances())
	if err != nil {
		return err
	}
	var found []Instance
	for _, i := range running {
		if i.AppID == appID {
			found = append(found, describe(i))
		}
	}
	if len(found) == 0 {
		return appNotFound(appID, running)
	}
	var errs []error
	for _, i := range found {
		if err := requestStop(i.supervisor()); err != nil && alive(i.supervisor()) {
			errs = append(errs, fmt.Errorf("stop process %d: %w", i.supervisor(), err))
		}
	}
	return errors.Join(append(errs, awaitGone(ctx, l, found))...)
}

// supervisor is the process that ends the run: the CLI, or the sidecar itself
// when there is none.
func (i Instance) supervisor() int {
	if i.CLIPID > 0 && alive(i.CLIPID) {
		return i.CLIPID
	}
	return i.DaprdPID
}

// awaitGone waits until no process of the instances is left.
func awaitGone(ctx context.Context, l Layout, gone []Instance) error {
	var left []int
	err := poll(ctx, time.Now().Add(stopLimit), func() (bool, error) {
		left = left[:0]
		for _, i := range gone {
			for _, pid := range []int{i.DaprdPID, i.AppPID, i.CLIPID} {
				if pid > 0 && alive(pid) {
					left = append(left, pid)
				}
			}
		}
		return len(left) == 0, nil
	})
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("still running: processes %v", left)
	}
	if err == nil {
		_, err = List(l) // removes the entries of those that were killed
	}
	return err
}
