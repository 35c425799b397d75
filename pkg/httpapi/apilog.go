package httpapi

import (
	"log/slog"
	"net/http"
	"time"
)

// APILog says how calls are logged.
type APILog struct {
	// Log gets one line at level info for each call.
	Log *slog.Logger
	// ObfuscateURLs writes the operation's name in place of method and path.
	ObfuscateURLs bool
	// OmitHealthChecks leaves out the routes that are always allowed.
	OmitHealthChecks bool
}

func (a *APILog) wants(route *Route) bool { return !a.OmitHealthChecks || !route.AlwaysAllowed }

func (a *APILog) write(rec *recorder, r *http.Request, route *Route, start time.Time) {
	called := r.Method + " " + r.URL.Path
	if a.ObfuscateURLs {
		called = route.Name
	}
	a.Log.LogAttrs(r.Context(), slog.LevelInfo, "HTTP API Called",
		slog.String("method", called),
		slog.Int("code", rec.code()),
		slog.Int64("size", rec.size),
		slog.Int64("duration", time.Since(start).Milliseconds()),
		slog.String("useragent", r.UserAgent()),
	)
}
