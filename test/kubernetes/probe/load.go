package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	pause   = 50 * time.Millisecond
	patient = 10 * time.Second // how long a call may take
)

// load calls until it is told to end, and prints every failure when it happens
// and once a second how many calls there were.
func load(ctx context.Context, url, sidecar string, out io.Writer) error {
	client := &http.Client{Timeout: patient}
	for get(ctx, client, "http://localhost:"+sidecar+"/v1.0/healthz/outbound") != nil {
		if !rest(ctx) {
			return nil
		}
	}
	var calls, failures int
	var slowest time.Duration
	for said := time.Now(); rest(ctx); {
		calls++
		begin := time.Now()
		if err := get(ctx, client, url); err != nil && ctx.Err() == nil {
			failures++
			fmt.Fprintf(out, "failed: call %d: %v\n", calls, err)
		}
		slowest = max(slowest, time.Since(begin))
		if time.Since(said) > time.Second {
			said = time.Now()
			fmt.Fprintf(out, "calls %d failures %d slowest %s\n", calls, failures, slowest.Round(time.Millisecond))
		}
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

// rest pauses, and tells whether there is reason to go on.
func rest(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
