// Package resiliency runs a call under a policy: how often it is tried again,
// and how long to wait in between.
package resiliency

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy says whether and when a failed call is tried again. The zero value
// tries once.
type Policy struct {
	// Name appears in metrics and logs.
	Name string
	// MaxRetries is how many times a call is repeated after the first attempt;
	// negative means without end.
	MaxRetries int
	// Wait is how long to pause before each retry; nil retries at once.
	Wait Wait
	// Retryable tells whether an error may go away by itself; nil means every
	// error may.
	Retryable func(error) bool
}

// Wait returns the pause before a retry; retry counts from 1.
type Wait func(retry int) time.Duration

// Constant waits d before each retry.
func Constant(d time.Duration) Wait { return func(int) time.Duration { return d } }

// The exponential policy's growth and its random share to either side.
const (
	growth = 1.5
	jitter = 0.5
)

// Exponential waits initial, then half as much again each time, up to limit.
// Each pause is spread by half its length to either side, so that callers that
// failed together do not return together.
func Exponential(initial, limit time.Duration) Wait {
	return func(retry int) time.Duration {
		d := float64(initial)
		for i := 1; i < retry && d < float64(limit); i++ {
			d *= growth
		}
		d = min(d, float64(limit))
		return time.Duration(d * (1 - jitter + 2*jitter*rand.Float64()))
	}
}

// Do calls f until it succeeds, its error is not retryable, the retries are
// used up or ctx ends. It returns the last error of f; when ctx ends during a
// pause, that is still the reason the caller wants to see.
func Do(ctx context.Context, p Policy, f func(context.Context) error) error {
	for retry := 1; ; retry++ {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if p.MaxRetries >= 0 && retry > p.MaxRetries {
			return err
		}
		if p.Retryable != nil && !p.Retryable(err) {
			return err
		}
		if p.Wait != nil && !sleep(ctx, p.Wait(retry)) {
			return err
		}
	}
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
