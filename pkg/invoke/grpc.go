package invoke

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/app"
)

// RPC is the gRPC face.
type RPC struct{ b *Block }

// NewRPC returns the gRPC face of b.
func NewRPC(b *Block) RPC { return RPC{b} }

// statusHeader tells a gRPC caller the status of an HTTP app.
const statusHeader = "dapr-http-status"

// InvokeService implements the method of the Dapr service.
func (r RPC) InvokeService(ctx context.Context, in *runtimev1.InvokeServiceRequest) (*commonv1.InvokeResponse, error) {
	if in.GetId() == "" {
		return nil, errNoTarget()
	}
	msg := in.GetMessage()
	if msg == nil {
		return nil, apierror.New("ERR_INVOKE_REQUEST", http.StatusBadRequest, codes.InvalidArgument, "the request has no message: give the method in message.method")
	}
	md, _ := metadata.FromIncomingContext(ctx)
	req := &app.Request{
		Verb: app.Verb(msg.GetHttpExtension()), Path: msg.GetMethod(), Query: msg.GetHttpExtension().GetQuerystring(),
		Header: app.FromMetadata(md), Data: msg.GetData().GetValue(), DataType: msg.GetData().GetTypeUrl(),
		ContentLength: int64(len(msg.GetData().GetValue())),
	}
	delete(req.Header, "Dapr-App-Id")
	delete(req.Header, "Dapr-Api-Token") // meant for this sidecar
	if msg.GetContentType() != "" {
		req.Header["Content-Type"] = []string{msg.GetContentType()}
	}
	resp, err := r.b.Invoke(ctx, in.GetId(), req)
	if err != nil {
		return nil, err
	}
	data, err := r.b.readAll(resp)
	if err != nil {
		return nil, errInvoke(in.GetId(), err)
	}
	return answer(ctx, resp, data)
}

// answer sets header and trailer, and makes a status that is not a success an
// error.
func answer(ctx context.Context, resp *app.Response, data []byte) (*commonv1.InvokeResponse, error) {
	header := app.ToMetadata(resp.Header)
	if resp.IsHTTP() {
		header.Set(statusHeader, strconv.Itoa(resp.Status))
	}
	_ = grpc.SetHeader(ctx, header) // fails only outside of a call
	_ = grpc.SetTrailer(ctx, app.ToMetadata(resp.Trailer))

	switch {
	case resp.IsHTTP() && apierror.GRPCCode(resp.Status) != codes.OK:
		return nil, httpError(resp.Status, data)
	case !resp.IsHTTP() && codes.Code(resp.Status) != codes.OK:
		return nil, status.ErrorProto(&spb.Status{Code: int32(resp.Status), Message: resp.Message, Details: resp.Details})
	}
	return &commonv1.InvokeResponse{
		Data:        &anypb.Any{TypeUrl: resp.DataType, Value: data},
		ContentType: resp.Header.Get("Content-Type"),
	}, nil
}

// maxErrorValue is how much of an HTTP error's body travels in a gRPC status.
const maxErrorValue = 63

func httpError(httpStatus int, body []byte) error {
	text := http.StatusText(httpStatus)
	if text == "" {
		text = "HTTP status " + strconv.Itoa(httpStatus)
	}
	s := status.New(apierror.GRPCCode(httpStatus), text)
	message := strings.ToValidUTF8(string(body[:min(len(body), maxErrorValue)]), "")
	detailed, err := s.WithDetails(&errdetails.ErrorInfo{
		Reason: text, Domain: "dapr.io",
		Metadata: map[string]string{"http.code": strconv.Itoa(httpStatus), "http.error_message": message},
	})
	if err != nil {
		return s.Err()
	}
	return detailed.Err()
}
