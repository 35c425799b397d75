package invoke

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/app"
	"github.com/hyperdapr/dapr/pkg/httpapi"
)

// Routes is the HTTP face. A target that is a URL does not fit the pattern and
// arrives at Fallback.
func (b *Block) Routes() []httpapi.Route {
	return []httpapi.Route{{
		Path:  routePrefix + "{id}/method/{method...}",
		Group: "invoke", Version: "v1", Name: "InvokeService",
		Handler: b.serveHTTP,
	}}
}

// Fallback handles a request that has no route: the app's own path, with the
// callee in a header.
func (b *Block) Fallback(w http.ResponseWriter, r *http.Request) error { return b.serveHTTP(w, r) }

func (b *Block) serveHTTP(w http.ResponseWriter, r *http.Request) error {
	target, method, ok := targetOf(r)
	if !ok {
		return errNoTarget()
	}
	app.RemoveHopByHop(r.Header)
	delete(r.Header, "Expect")         // answered by this server
	delete(r.Header, "Dapr-Api-Token") // meant for this sidecar
	req := &app.Request{Verb: r.Method, Path: method, Query: r.URL.RawQuery, Header: r.Header}
	if err := req.SetBody(r.Body, r.ContentLength); err != nil {
		return apierror.New("ERR_BODY_READ", http.StatusBadRequest, codes.InvalidArgument, "failed to read the request body: %w", err)
	}
	body := &requestBody{body: req.Body}
	if req.Body != nil {
		// HTTP/2 is full duplex anyway; a server that cannot be answers when it
		// has the whole request.
		_ = http.NewResponseController(w).EnableFullDuplex()
		req.Body = body
		defer body.closed.Store(true)
	}
	resp, err := b.Invoke(r.Context(), target, req)
	if req.Body != nil && !body.ended.Load() && r.ProtoMajor == 1 {
		// What is left of the body must not be taken for the next request.
		w.Header().Set("Connection", "close")
	}
	if err != nil {
		return err
	}
	defer resp.Close()
	return writeResponse(w, r, resp)
}

// requestBody is the body of a request that is answered while it is read, by
// another goroutine. A Read that still waits when the handler returns is ended
// by the server; a later one must not begin.
type requestBody struct {
	body          io.Reader
	ended, closed atomic.Bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.body.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}

func writeResponse(w http.ResponseWriter, r *http.Request, resp *app.Response) error {
	status := resp.Status
	if !resp.IsHTTP() {
		if status = apierror.HTTPStatus(codes.Code(resp.Status)); status != http.StatusOK {
			return writeStatus(w, status, resp)
		}
	}
	h := w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	if resp.Body != nil {
		w.WriteHeader(status)
		return copyFlushing(w, resp)
	}
	if _, set := h["Content-Length"]; !set && r.Method != http.MethodHead {
		h["Content-Length"] = []string{strconv.Itoa(len(resp.Data))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(resp.Data) // the client is gone: nobody is left to tell
	return nil
}

// writeStatus answers with the status of a gRPC app that is not OK.
func writeStatus(w http.ResponseWriter, httpStatus int, resp *app.Response) error {
	body, err := protojson.Marshal(&spb.Status{Code: int32(resp.Status), Message: resp.Message, Details: resp.Details})
	if err != nil { // details of a type that is not known here: the rest has to do
		body, err = protojson.Marshal(&spb.Status{Code: int32(resp.Status), Message: resp.Message})
	}
	if err != nil {
		return err
	}
	h := w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(httpStatus)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
	return nil
}

// copyFlushing passes on each piece of a body when it comes, beginning with the
// header. A body that breaks off cuts the connection: the client must not take
// it for the whole. That the client is gone is no error: nobody is left to tell.
func copyFlushing(w http.ResponseWriter, resp *app.Response) error {
	buf := mem.DefaultBufferPool().Get(app.SmallBody)
	defer mem.DefaultBufferPool().Put(buf)
	control := http.NewResponseController(w)
	piece := resp.Data
	for {
		_, gone := w.Write(piece)
		if gone == nil {
			gone = control.Flush()
		}
		if gone != nil {
			return nil
		}
		n, err := resp.Body.Read(*buf)
		piece = (*buf)[:n]
		switch {
		case n > 0: // the error comes again
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", http.ErrAbortHandler, err)
		}
	}
}
