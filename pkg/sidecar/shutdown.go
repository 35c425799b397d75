package sidecar

import (
	"context"
	"net/http"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hyperdapr/dapr/pkg/httpapi"
)

// shutdown ends the sidecar on request of the API.
type shutdown struct {
	// stop starts the graceful end.
	stop func()
	// force ends at once, with exit code 1.
	force func()
}

func (s shutdown) routes() []httpapi.Route {
	return []httpapi.Route{{
		Methods: []string{http.MethodPost}, Path: "/v1.0/shutdown", Group: "shutdown", Version: "v1", Name: "Shutdown", Handler: s.postShutdown,
	}}
}

func (s shutdown) postShutdown(w http.ResponseWriter, r *http.Request) error {
	end := s.stop
	if truthy(r.Header.Get("dapr-force-shutdown")) {
		end = s.force
	}
	err := httpapi.Empty(w)
	endSoon(end)
	return err
}

// endSoon leaves the answer the time to reach the caller.
func endSoon(end func()) { time.AfterFunc(100*time.Millisecond, end) }

// shutdownRPC is the gRPC face.
type shutdownRPC struct{ s shutdown }

// Shutdown implements runtimev1.DaprServer.
func (r shutdownRPC) Shutdown(context.Context, *runtimev1.ShutdownRequest) (*emptypb.Empty, error) {
	endSoon(r.s.stop)
	return &emptypb.Empty{}, nil
}
