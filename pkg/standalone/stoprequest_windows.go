package standalone

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// stopEvent is the name of the event through which "dapr stop" reaches a CLI:
// Windows has no signal for that.
func stopEvent(pid int) string { return fmt.Sprintf("dapr_cli_%d", pid) }

// requestStop asks the CLI with the given process id to end its run, or ends a
// process that is no CLI.
func requestStop(pid int) error {
	name, err := windows.UTF16PtrFromString(stopEvent(pid))
	if err != nil {
		return err
	}
	event, err := windows.OpenEvent(windows.EVENT_MODIFY_STATE, false, name)
	if err != nil {
		p, err := os.FindProcess(pid)
		if err != nil {
			return err
		}
		defer p.Release()
		return p.Kill()
	}
	defer windows.CloseHandle(event)
	return windows.SetEvent(event)
}

// stopRequests receives when requestStop is called for this process, until ctx
// ends.
func stopRequests(ctx context.Context) (<-chan struct{}, error) {
	name, err := windows.UTF16PtrFromString(stopEvent(os.Getpid()))
	if err != nil {
		return nil, err
	}
	event, err := windows.CreateEvent(nil, 0, 0, name)
	if err != nil {
		return nil, fmt.Errorf("create the stop event: %w", err)
	}
	requests := make(chan struct{})
	go func() {
		defer windows.CloseHandle(event)
		for ctx.Err() == nil {
			// Waking up now and then is the simple way to notice ctx.
			if s, err := windows.WaitForSingleObject(event, 200); err != nil || s != windows.WAIT_OBJECT_0 {
				continue
			}
			select {
			case requests <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}()
	return requests, nil
}
