package httpapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/hyperdapr/dapr/pkg/apierror"
)

// fail writes, logs and counts an error: the one place that does.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, route *Route, err error) {
	if errors.Is(err, http.ErrAbortHandler) {
		// The answer broke off half-way; only a cut connection tells the client.
		panic(http.ErrAbortHandler)
	}
	e := apierror.From(err)
	status := e.HTTP
	if status == 0 {
		status = http.StatusInternalServerError
	}
	s.errors.Count(route.Group, e.Code)

	// A caller's mistake is the caller's to see. A failure of ours, or of a
	// server behind us, is for the operator, unless the caller has left or only
	// asked whether we are ready.
	level := slog.LevelDebug
	if status >= http.StatusInternalServerError && !route.AlwaysAllowed && r.Context().Err() == nil {
		level = slog.LevelWarn
	}
	if s.log.Enabled(r.Context(), level) {
		s.log.Log(r.Context(), level, "API call failed",
			"method", r.Method, "path", r.URL.Path, "status", status, "code", e.Code, "error", err)
	}

	body, err := json.Marshal(e)
	if err != nil { // a detail without a JSON form: the code and the message remain
		body, _ = json.Marshal(&apierror.Error{Code: e.Code, Message: e.Message})
	}
	w.Header().Del("Content-Length") // of the answer that failed
	_ = WriteJSON(w, status, json.RawMessage(body))
}
