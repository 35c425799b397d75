package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// HealthOptions says how the app's health is checked. The zero value has the
// protocol's defaults.
type HealthOptions struct {
	// Path is what an HTTP app is asked; /healthz when empty.
	Path string
	// Interval is the time between the starts of two checks; 5 s when 0.
	Interval time.Duration
	// Timeout ends one check; 500 ms when 0. It is less than Interval.
	Timeout time.Duration
	// Threshold is how many checks in a row fail before the app counts as
	// unhealthy; 3 when 0.
	Threshold int
	// OnChange, when set, is called from Run with each new state, before the next
	// check.
	OnChange func(ctx context.Context, healthy bool)
}

// Validate names the field that is wrong.
func (o HealthOptions) Validate() error {
	o.setDefaults()
	switch {
	case o.Path[0] != '/':
		return fmt.Errorf("app health check path %q does not begin with a slash: use /%s", o.Path, o.Path)
	case o.Interval < 0:
		return fmt.Errorf("app health probe interval %s is negative", o.Interval)
	case o.Timeout < 0:
		return fmt.Errorf("app health probe timeout %s is negative", o.Timeout)
	case o.Timeout >= o.Interval:
		return fmt.Errorf("app health probe timeout %s is not less than the interval %s", o.Timeout, o.Interval)
	case o.Threshold < 0:
		return fmt.Errorf("app health threshold %d is negative", o.Threshold)
	}
	return nil
}

func (o *HealthOptions) setDefaults() {
	if o.Path == "" {
		o.Path = "/healthz"
	}
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 500 * time.Millisecond
	}
	if o.Threshold == 0 {
		o.Threshold = 3
	}
}

// Health checks whether the app is well. It is not, until the first check
// succeeds.
type Health struct {
	options HealthOptions
	probe   func(context.Context) error
	log     *slog.Logger
	healthy atomic.Bool
}

func newHealth(o HealthOptions, probe func(context.Context) error, l *slog.Logger) *Health {
	return &Health{options: o, probe: probe, log: l}
}

// Options are the options with their defaults.
func (h *Health) Options() HealthOptions { return h.options }

// Healthy is the state after the last check.
func (h *Health) Healthy() bool { return h.healthy.Load() }

// Run checks until ctx ends and returns ctx's error. One success makes the app
// healthy, Threshold failures in a row make it unhealthy.
func (h *Health) Run(ctx context.Context) error {
	tick := time.NewTicker(h.options.Interval)
	defer tick.Stop()
	failures := 0
	for {
		err := h.check(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			failures = 0
			if !h.healthy.Swap(true) {
				h.log.Info("app is healthy")
				h.changed(ctx, true)
			}
		default:
			failures++
			h.log.Debug("app health check failed", "error", err, "failures", failures)
			if failures >= h.options.Threshold && h.healthy.Swap(false) {
				h.log.Warn("app is not healthy: it gets no calls until a check succeeds", "error", err, "failures", failures)
				h.changed(ctx, false)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *Health) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.options.Timeout)
	defer cancel()
	return h.probe(ctx)
}

func (h *Health) changed(ctx context.Context, healthy bool) {
	if h.options.OnChange != nil {
		h.options.OnChange(ctx, healthy)
	}
}
