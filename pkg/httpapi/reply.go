package httpapi

import (
	"encoding/json"
	"net/http"
)

// WriteJSON answers with v as JSON. The Content-Type is application/json unless
// the handler has set one. An error means that v has no JSON form and nothing
// was written; a client that went away is not an error.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if body, err = json.Marshal(v); err != nil {
			return err
		}
	}
	h := w.Header()
	if _, set := h["Content-Type"]; !set {
		h.Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
	return nil
}

// Empty answers 204, the protocol's success without a value.
func Empty(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}
