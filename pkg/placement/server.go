package placement

import (
	"errors"
	"io"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
)

// placementServer joins streams and the directory.
type placementServer struct {
	placementv1.UnimplementedPlacementServer

	directory *directory
	proved    bool // callers must have proved who they are
}

// ReportDaprStatus implements the protocol's service.
func (s *placementServer) ReportDaprStatus(stream placementv1.Placement_ReportDaprStatusServer) error {
	var caller *security.ID
	if s.proved {
		id, ok := security.PeerID(stream.Context())
		if !ok {
			return status.Error(codes.Unauthenticated, "the caller has not proved which app it is")
		}
		caller = &id
	}
	m, err := s.directory.connect()
	if err != nil {
		return err
	}
	defer s.directory.leave(m)

	received := make(chan error, 1)
	go func() { received <- s.receive(stream, m, caller) }()
	for {
		select {
		case order := <-m.orders:
			// A sidecar that does not read may block this for as long as it lives; the
			// directory waits for no one.
			if err := stream.Send(order); err != nil {
				return err
			}
		case <-m.ended:
			return m.err
		case err := <-received:
			return err
		}
	}
}

// receive ends when the stream does.
func (s *placementServer) receive(stream placementv1.Placement_ReportDaprStatusServer, m *member, caller *security.ID) error {
	for {
		host, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.directory.receive(m, host, caller); err != nil {
			return err
		}
	}
}
