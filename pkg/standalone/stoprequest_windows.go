package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// requestStop asks the CLI with the given process id to end its run. A process
// that waits for no request is ended: with a CLI, so is all that it runs.
func requestStop(pid int) error {
	name, err := windows.UTF16PtrFromString(stopEvent(pid))
	if err != nil {
		return err
	}
	event, err := windows.OpenEvent(windows.EVENT_MODIFY_STATE, false, name)
	if err != nil {
		// There is none, or it is in the session of another login.
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

// stopRequests receives when requestStop is first called for this process, until
// ctx ends. The event takes requests of the user and the system only, as all that is
// made without a security descriptor.
func stopRequests(ctx context.Context) (<-chan struct{}, error) {
	name, err := windows.UTF16PtrFromString(stopEvent(os.Getpid()))
	if err != nil {
		return nil, err
	}
	// The second run of one CLI gets the event of the first, which then reaches
	// all of them: it is reset by hand, when there are no more.
	const byHand = 1
	event, err := windows.CreateEvent(nil, byHand, 0, name)
	if err != nil && !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return nil, fmt.Errorf("create the stop event: %w", err)
	}
	over, err := windows.CreateEvent(nil, byHand, 0, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create an event: %w", err), windows.CloseHandle(event))
	}
	unwatch := context.AfterFunc(ctx, func() { _ = windows.SetEvent(over) })
	requests := make(chan struct{})
	go func() {
		defer windows.CloseHandle(event)
		defer windows.CloseHandle(over)
		defer func() {
			if !unwatch() {
				// Only then is nobody about to set it.
				_, _ = windows.WaitForSingleObject(over, windows.INFINITE)
			}
		}()
		if first, err := windows.WaitForMultipleObjects([]windows.Handle{event, over}, false, windows.INFINITE); err != nil || first != windows.WAIT_OBJECT_0 {
			return
		}
		select {
		case requests <- struct{}{}:
		case <-ctx.Done():
		}
	}()
	return requests, nil
}
