// Package signals turns the operating system's signals into values that the
// rest of a program can wait for, so that only its outermost function knows of
// them.
package signals

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// ErrForced is the cause of Forced after a second signal.
var ErrForced = errors.New("ended at once by a second signal")

// Signals are the signals a long-running program answers to.
type Signals struct {
	// Stop is cancelled by the first SIGINT or SIGTERM: end gracefully.
	Stop context.Context //nolint:containedctx // these two are the signals
	// Forced is cancelled by the second one: return at once.
	Forced context.Context //nolint:containedctx // see Stop
	// Reload receives a value for every SIGHUP, at most one pending. It never
	// does on Windows.
	Reload <-chan struct{}
}

// Notify starts to listen for signals until stop is called. The contexts are
// also cancelled with ctx.
func Notify(ctx context.Context) (s Signals, stop func()) {
	stopCtx, cancelStop := context.WithCancel(ctx)
	forcedCtx, cancelForced := context.WithCancelCause(ctx)
	reload := make(chan struct{}, 1)

	in := make(chan os.Signal, 4)
	signal.Notify(in, append([]os.Signal{os.Interrupt, syscall.SIGTERM}, reloadSignals...)...)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case sig := <-in:
				switch {
				case isReload(sig):
					select {
					case reload <- struct{}{}:
					default:
					}
				case stopCtx.Err() == nil:
					cancelStop()
				default:
					cancelForced(ErrForced)
				}
			}
		}
	}()
	return Signals{Stop: stopCtx, Forced: forcedCtx, Reload: reload}, func() {
		signal.Stop(in)
		close(done)
		cancelStop()
		cancelForced(nil)
	}
}

func isReload(sig os.Signal) bool {
	for _, s := range reloadSignals {
		if s == sig {
			return true
		}
	}
	return false
}
