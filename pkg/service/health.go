package service

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Health knows why the service is not ready. Everything that must be up is a
// target with such a reason. The zero value is ready; it is safe for concurrent
// use.
type Health struct {
	mu      sync.Mutex
	reasons map[string]string
}

// Set records why a target is not ready; an empty reason makes it ready.
func (h *Health) Set(target, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reason == "" {
		delete(h.reasons, target)
		return
	}
	if h.reasons == nil {
		h.reasons = make(map[string]string)
	}
	h.reasons[target] = reason
}

// Missing lists the targets that are not ready, each as "target: reason".
func (h *Health) Missing() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, target := range slices.Sorted(maps.Keys(h.reasons)) {
		list = append(list, target+": "+h.reasons[target])
	}
	return list
}

// ServeHTTP answers 200 when everything is ready, else 500 with the reasons.
func (h *Health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if missing := h.Missing(); len(missing) > 0 {
		http.Error(w, "not ready: "+strings.Join(missing, "; "), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "ok")
}
