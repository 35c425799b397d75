package invoke

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

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
	delete(r.Header, "Expect") // answered by this server
	req := &app.Request{Verb: r.Method, Path: method, Query: r.URL.RawQuery, Header: r.Header}
	if err := req.SetBody(r.Body, r.ContentLength); err != nil {
		return apierror.New("ERR_BODY_READ", http.StatusBadRequest, codes.InvalidArgument, "failed to read the request body: %w", err)
	}
	if req.Body != nil {
		body := newRequestBody(w, r)
		defer body.release()
		req.Body = body
	}
	resp, err := b.Invoke(r.Context(), target, req)
	if err != nil {
		return err
	}
	defer resp.Close()
	return writeResponse(w, r, resp)
}

// requestBody lets a request's body be read while the response is written, by
// another goroutine, and not after the handler has returned.
type requestBody struct {
	control *http.ResponseController
	mu      sync.Mutex
	body    io.Reader // nil once released
	done    bool      // read to the end
}

func newRequestBody(w http.ResponseWriter, r *http.Request) *requestBody {
	b := &requestBody{control: http.NewResponseController(w), body: r.Body}
	// HTTP/2 is full duplex anyway; where it is not to be had, the body is read
	// before the response is written.
	_ = b.control.EnableFullDuplex()
	return b
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.body == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.body.Read(p)
	b.done = b.done || err != nil
	return n, err
}

// release waits for a Read that runs; one that waits for a client who has his
// answer already, and goes on sending, is cut off.
func (b *requestBody) release() {
	if !b.mu.TryLock() {
		_ = b.control.SetReadDeadline(time.Now())
		b.mu.Lock()
	}
	b.body = nil
	b.mu.Unlock()
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
