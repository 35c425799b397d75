package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/httpapi"
)

// readiness knows what the sidecar still waits for. Everything that must be up
// is a target with the reason why it is not; no reason means that it is up.
type readiness struct {
	appID string

	mu      sync.RWMutex
	reasons map[string]string
	changed chan struct{} // closed and replaced at every change
}

// Targets of readiness besides the components.
const (
	targetServers = "api servers"
	targetApp     = "app"
	targetRunning = "runtime"
)

func newReadiness(appID string) *readiness {
	return &readiness{appID: appID, reasons: make(map[string]string), changed: make(chan struct{})}
}

// set records why a target is not ready; an empty reason makes it ready.
func (r *readiness) set(target, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason == "" {
		delete(r.reasons, target)
	} else {
		r.reasons[target] = reason
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// missing lists the targets that are not ready, each with its reason, but for
// those named.
func (r *readiness) missing(but ...string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []string
	for target, reason := range r.reasons {
		if !slices.Contains(but, target) {
			list = append(list, target+": "+reason)
		}
	}
	slices.Sort(list)
	return list
}

// wait blocks until nothing is missing or the context ends.
func (r *readiness) wait(ctx context.Context) error {
	for {
		r.mu.RLock()
		n, changed := len(r.reasons), r.changed
		r.mu.RUnlock()
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (r *readiness) routes() []httpapi.Route {
	route := func(path, name string, h httpapi.HandlerFunc) httpapi.Route {
		return httpapi.Route{
			Methods: []string{http.MethodGet}, Path: path, Group: "healthz", Version: "v1", Name: name,
			Handler: h, AlwaysAllowed: true, Public: true,
		}
	}
	return []httpapi.Route{
		route("/v1.0/healthz", "Healthz", r.getHealthz),
		route("/v1.0/healthz/outbound", "HealthzOutbound", r.getOutbound),
	}
}

func (r *readiness) getHealthz(w http.ResponseWriter, req *http.Request) error {
	if missing := r.missing(); len(missing) > 0 {
		return apierror.New("ERR_HEALTH_NOT_READY", http.StatusInternalServerError, codes.Internal, "dapr is not ready: [%s]", strings.Join(missing, "; "))
	}
	if id := req.URL.Query().Get("appid"); id != "" && id != r.appID {
		return apierror.New("ERR_HEALTH_APPID_NOT_MATCH", http.StatusInternalServerError, codes.Internal, "dapr app-id does not match: this is the sidecar of %q, not of %q", r.appID, id)
	}
	return httpapi.Empty(w)
}

// getOutbound tells whether the app can call out: it is ready before the app is.
func (r *readiness) getOutbound(w http.ResponseWriter, _ *http.Request) error {
	if missing := r.missing(targetApp); len(missing) > 0 {
		return apierror.New("ERR_OUTBOUND_HEALTH_NOT_READY", http.StatusInternalServerError, codes.Internal, "dapr outbound is not ready: [%s]", strings.Join(missing, "; "))
	}
	return httpapi.Empty(w)
}

// waitOutbound is --wait: it returns when the sidecar on the port answers that
// the app can call out.
func waitOutbound(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/healthz/outbound", port)
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for {
		var last error
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		switch {
		case err != nil:
			last = err
		case res.StatusCode == http.StatusNoContent:
			return res.Body.Close()
		default:
			last = errors.Join(fmt.Errorf("status %s", res.Status), res.Body.Close())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the sidecar on port %d is not ready after a minute: %w", port, last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
