package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/apierror"
)

// errTooLarge is what reading a body beyond the server's limit fails with.
var errTooLarge = errors.New("stream too large")

// ReadBody returns the whole body, which the caller owns. A body that cannot be
// read, or is over the server's limit, is ERR_BODY_READ.
func ReadBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	var buf bytes.Buffer
	if err := readInto(&buf, r); err != nil {
		return nil, apierror.New("ERR_BODY_READ", http.StatusBadRequest, codes.InvalidArgument, "failed to read the request body: %w", err)
	}
	return buf.Bytes(), nil
}

// DecodeJSON decodes the body into v. A body that cannot be read, is over the
// server's limit or is not the JSON that v needs is ERR_MALFORMED_REQUEST.
func DecodeJSON(r *http.Request, v any) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer putBuffer(buf)
	err := readInto(buf, r)
	if err == nil {
		err = json.Unmarshal(buf.Bytes(), v) // keeps nothing of the buffer
	}
	if err != nil {
		return apierror.New("ERR_MALFORMED_REQUEST", http.StatusBadRequest, codes.InvalidArgument, "failed deserializing HTTP body: %w", inWords(err))
	}
	return nil
}

// inWords says a mistake of types in the terms of JSON, which the caller knows,
// and not of the types here.
func inWords(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	want := "number"
	switch wrong.Type.Kind() {
	case reflect.String:
		want = "string"
	case reflect.Bool:
		want = "bool"
	case reflect.Slice, reflect.Array:
		want = "array"
	case reflect.Map, reflect.Struct:
		want = "object"
	}
	where := ""
	if wrong.Field != "" {
		where = ", in " + wrong.Field
	}
	return fmt.Errorf("at byte %d%s: want %s, got %s", wrong.Offset, where, want, wrong.Value)
}

func readInto(buf *bytes.Buffer, r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	if n := r.ContentLength; n > 0 && n <= maxPooledBuffer {
		buf.Grow(int(n) + bytes.MinRead) // room for the read that finds the end
	}
	_, err := buf.ReadFrom(r.Body)
	return err
}

// maxPooledBuffer keeps one huge request from holding its memory for ever, and
// a lying Content-Length from allocating it.
const maxPooledBuffer = 64 << 10

// buffers is a pool, not state: its content never outlives a call.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= maxPooledBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// limitBody makes reading more than limit bytes of the body fail. A request
// that announces a length within the limit needs no guard: the server reads no
// further than announced.
func limitBody(r *http.Request, limit int64) {
	switch {
	case limit <= 0:
	case r.ContentLength > limit:
		r.Body = &limitedBody{ReadCloser: r.Body, left: -1}
	case r.ContentLength < 0:
		r.Body = &limitedBody{ReadCloser: r.Body, left: limit}
	}
}

type limitedBody struct {
	io.ReadCloser
	left int64 // negative once the limit is passed
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	// One byte more than is left tells a body of exactly the limit from a larger one.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), errTooLarge
		b.left = -1
		return n, err
	}
	b.left -= int64(n)
	return n, err
}
