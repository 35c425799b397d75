package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
)

const (
	placementName = "dapr-placement-server." + controlPlane + ".svc.cluster.local"
	placementPort = "50005"
	actorType     = "probe"
)

// actors says to whichever placement replica leads that the app of the given id
// has actors, and prints every table of who has which. It ends when the claim is
// refused.
func actors(ctx context.Context, appID string, out io.Writer) error {
	p, err := itself(ctx)
	if err != nil {
		return err
	}
	for rest(ctx) {
		replicas, err := net.DefaultResolver.LookupHost(ctx, placementName)
		if err != nil {
			fmt.Fprintln(out, "lost:", err)
		}
		for _, address := range replicas {
			err := stayWith(ctx, p, appID, net.JoinHostPort(address, placementPort), out)
			switch status.Code(err) {
			case codes.FailedPrecondition: // it does not lead
			case codes.PermissionDenied:
				return err
			default:
				fmt.Fprintln(out, "lost:", err)
			}
		}
	}
	return nil
}

// stayWith keeps a stream to a replica until one of them ends it.
func stayWith(ctx context.Context, p *security.Provider, appID, address string, out io.Writer) error {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(p.ClientCredentials(security.Exactly(service(security.Placement)))),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: time.Second}))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := placementv1.NewPlacementClient(conn).ReportDaprStatus(ctx)
	if err != nil {
		return err
	}
	sent := stream.Send(&placementv1.Host{
		Name: "probe:50002", Port: 50002, Id: appID, Namespace: namespace, Entities: []string{actorType}, Operation: placementv1.HostOperation_REPORT,
	})
	for {
		if sent != nil && !errors.Is(sent, io.EOF) { // after io.EOF, Recv says more
			return sent
		}
		order, err := stream.Recv()
		if err != nil {
			return err
		}
		if order.GetOperation() == "update" {
			hosts := order.GetTables().GetEntries()[actorType].GetLoadMap()
			fmt.Fprintf(out, "%s says that %d host has the actors\n", address, len(hosts))
		}
		sent = stream.Send(&placementv1.Host{
			Operation: placementv1.HostOperation(placementv1.HostOperation_value[strings.ToUpper(order.GetOperation())]), Version: &order.Version,
		})
	}
}
