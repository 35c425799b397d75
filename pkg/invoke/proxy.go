package invoke

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/peer"
	"github.com/hyperdapr/dapr/pkg/resiliency"
)

// Metadata of gRPC calls that are passed on.
const (
	calleeMD          = "dapr-callee-app-id"
	callerMD          = "dapr-caller-app-id"
	callerNamespaceMD = "dapr-caller-namespace"
	apiTokenMD        = "dapr-api-token"
)

var (
	_ grpc.StreamHandler = (*Block)(nil).ProxyFromApp
	_ grpc.StreamHandler = (*Block)(nil).ProxyFromPeer
)

// ProxyFromApp passes a call of a service that the API does not have on to the
// app that the metadata dapr-app-id names. It is the API server's handler of
// unknown services; that server needs peer.Codec.
func (b *Block) ProxyFromApp(_ any, in grpc.ServerStream) error {
	method, md := callOf(in)
	ids := md.Get(appIDHeader)
	if len(ids) == 0 {
		return status.Errorf(codes.Unimplemented, "unknown method %s: to call it in another app, name the app in the metadata %s", method, appIDHeader)
	}
	c, err := b.parse(ids[0])
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	md.Set(callerMD, b.o.AppID)
	md.Set(calleeMD, c.appID)
	md.Delete(callerNamespaceMD)
	if b.o.Namespace != "" {
		md.Set(callerNamespaceMD, b.o.Namespace)
	}
	md.Delete(apiTokenMD) // it is this sidecar's
	if b.isSelf(c) {
		return b.proxyToApp(in, method, md)
	}
	b.metrics.reqSent.WithLabelValues(c.appID, streamType).Inc()

	var out grpc.ClientStream
	release := func() {}
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(in.Context(), md))
	defer cancel()
	// Until here nothing of the call was read: it can begin again.
	err = resiliency.Do(ctx, b.retry, func(ctx context.Context) error {
		to, err := b.resolve(ctx, c)
		if err != nil {
			return err
		}
		conn, done, err := b.peers.Conn(to)
		if err != nil {
			return err
		}
		if out, err = open(ctx, conn, method, md); err != nil {
			done()
			b.lost(c, to, err)
			return err
		}
		release = done
		return nil
	})
	defer release()
	if err == nil {
		err = pass(in, out, cancel)
	} else if _, ok := status.FromError(err); !ok {
		err = status.Errorf(codes.Unavailable, "failed to invoke, id: %s, err: %v", ids[0], err)
	}
	b.metrics.resReceived.WithLabelValues(c.appID, strconv.Itoa(int(status.Code(err))), streamType).Inc()
	return err
}

// ProxyFromPeer passes a call that another sidecar passed on to the app. It is
// the internal server's handler of unknown services; that server needs
// peer.Codec.
func (b *Block) ProxyFromPeer(_ any, in grpc.ServerStream) error {
	method, md := callOf(in)
	ids := md.Get(calleeMD)
	if len(ids) == 0 {
		ids = md.Get(appIDHeader)
	}
	if len(ids) == 0 {
		return status.Errorf(codes.Unimplemented, "unknown method %s", method)
	}
	if c, err := b.parse(ids[0]); err != nil || c.appID != b.o.AppID {
		return status.Errorf(codes.NotFound, "this is the sidecar of %s, not of %s", b.o.AppID, ids[0])
	}
	says := claim{strings.Join(md.Get(callerMD), ","), strings.Join(md.Get(callerNamespaceMD), ",")}
	metrics := b.metrics.caller(says.appID)
	metrics.received.Inc()
	err := b.admit(in.Context(), says, method, "")
	if err == nil {
		err = b.proxyToApp(in, method, md)
	}
	metrics.sent(int(status.Code(err)))
	return err
}

func (b *Block) proxyToApp(in grpc.ServerStream, method string, md metadata.MD) error {
	if b.o.App == nil {
		return status.Error(codes.FailedPrecondition, errNoApp.Error())
	}
	md.Delete(appIDHeader)
	b.o.App.Authorize(md)
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(in.Context(), md))
	defer cancel()
	conn, release, err := b.o.App.Conn(ctx)
	if err != nil {
		return err
	}
	defer release()
	out, err := open(ctx, conn, method, md)
	if err != nil {
		return err
	}
	return pass(in, out, cancel)
}

// callOf returns a call's method and a copy of its metadata.
func callOf(in grpc.ServerStream) (method string, md metadata.MD) {
	method, _ = grpc.MethodFromServerStream(in)
	md, _ = metadata.FromIncomingContext(in.Context())
	md = md.Copy()
	if md == nil {
		md = metadata.MD{}
	}
	return method, md
}

// open begins the call towards its callee, in the encoding that it came in.
func open(ctx context.Context, conn *grpc.ClientConn, method string, md metadata.MD) (grpc.ClientStream, error) {
	options := []grpc.CallOption{grpc.ForceCodecV2(peer.Codec())}
	for _, t := range md.Get("content-type") {
		if _, subtype, ok := strings.Cut(t, "+"); ok {
			options = append(options, grpc.CallContentSubtype(subtype))
		}
	}
	return conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, options...)
}

// pass copies messages both ways until the callee ends the call, and returns
// its status.
func pass(in grpc.ServerStream, out grpc.ClientStream, cancel context.CancelFunc) error {
	go func() {
		if err := passRequests(in, out); err != nil {
			cancel()
		}
	}()
	header, err := out.Header()
	if err == nil && len(header) > 0 {
		err = in.SendHeader(header)
	}
	var m peer.Raw
	for err == nil {
		if err = out.RecvMsg(&m); err == nil {
			err = in.SendMsg(&m)
		}
	}
	in.SetTrailer(out.Trailer())
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// passRequests returns nil when there are no more, on either side.
func passRequests(in grpc.ServerStream, out grpc.ClientStream) error {
	var m peer.Raw
	for {
		err := in.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			return out.CloseSend()
		}
		if err != nil {
			return err
		}
		if err := out.SendMsg(&m); err != nil {
			return nil //nolint:nilerr // the callee ended the call: its status says why
		}
	}
}
