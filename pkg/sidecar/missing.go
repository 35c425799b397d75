package sidecar

import (
	"errors"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/invoke"
)

// missing are the groups of the protocol's operations that have no building
// block here yet. Over HTTP a group is what follows the version in a path.
var missing = map[string]error{
	"actors":        errMissing("actors"),
	"bindings":      errMissing("bindings"),
	"configuration": errMissing("configuration"),
	"conversation":  errMissing("conversation"),
	"crypto":        errMissing("cryptography"),
	"jobs":          errMissing("jobs"),
	"lock":          errMissing("distributed lock"),
	"publish":       errMissing("publish and subscribe"),
	"subtlecrypto":  errMissing("cryptography"),
	"unlock":        errMissing("distributed lock"),
	"workflows":     errMissing("workflow"),
}

func errMissing(block string) error {
	return apierror.New("ERR_NOT_IMPLEMENTED", http.StatusNotImplemented, codes.Unimplemented,
		"the building block %q is not part of this version of the runtime", block)
}

// orMissing has a fallback say so when a request is for a building block that is
// missing, rather than that it names no app.
func orMissing(fallback httpapi.HandlerFunc) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := fallback(w, r)
		if errors.Is(err, invoke.ErrNoTarget) {
			version, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
			group, _, _ := strings.Cut(rest, "/")
			if m := missing[group]; m != nil && strings.HasPrefix(version, "v1.0") {
				return m
			}
		}
		return err
	}
}
