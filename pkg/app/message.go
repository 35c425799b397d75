package app

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"google.golang.org/protobuf/types/known/anypb"
)

// SmallBody is the size, in bytes, up to which a body of known length is held
// in memory as Data. Larger ones, and those of unknown length, are streamed.
const SmallBody = 32 << 10

// Request is a call to an app, in the terms of HTTP: that is what both ends
// mostly speak, and a gRPC call fits in.
type Request struct {
	// Verb is the HTTP method; empty for a call that began as gRPC without one.
	Verb string
	// Path is the method: unescaped, without a leading slash.
	Path string
	// Query is the raw query, without the question mark.
	Query string
	// Header has canonical keys. A gRPC call's metadata stands here too, binary
	// values in base64.
	Header http.Header
	// Data is the body, or its beginning when Body is not nil.
	Data []byte
	// DataType is the type URL of Data, when a gRPC caller gave one.
	DataType string
	// Body is the rest of the body; nil when Data is all of it. Such a request
	// can be sent only once.
	Body io.Reader
	// ContentLength is the length of the whole body; -1 when Body is not nil and
	// the length is not known.
	ContentLength int64
}

// SetBody takes the body of length n from r (-1: not known). A small one is
// read at once, so that the request can be sent again.
func (r *Request) SetBody(body io.Reader, n int64) error {
	r.Data, r.Body, r.ContentLength = nil, nil, n
	switch {
	case n == 0 || body == nil || body == http.NoBody:
		r.ContentLength = 0
	case n < 0 || n > SmallBody:
		r.Body = body
	default:
		r.Data = make([]byte, n)
		if _, err := io.ReadFull(body, r.Data); err != nil {
			return err
		}
	}
	return nil
}

// Replayable tells whether the request can be sent more than once.
func (r *Request) Replayable() bool { return r.Body == nil }

// Reader returns the whole body.
func (r *Request) Reader() io.Reader { return reader(r.Data, r.Body) }

// Response is an app's answer.
type Response struct {
	// Status is an HTTP status (100 and more), or the gRPC code of a gRPC app.
	Status int
	// Message and Details are those of a gRPC status that is not OK.
	Message string
	Details []*anypb.Any
	// Header and Trailer have canonical keys, as in Request.
	Header, Trailer http.Header
	// Data is the body, or its beginning when Body is not nil.
	Data []byte
	// DataType is the type URL of Data, when a gRPC app gave one.
	DataType string
	// Body is the rest of the body; nil when Data is all of it. A Read returns
	// what has arrived, without waiting to fill its buffer.
	Body io.ReadCloser
}

// IsHTTP tells whether Status is an HTTP status.
func (r *Response) IsHTTP() bool { return r.Status >= 100 }

// Close ends the response, also in the middle of its body. It is safe on a
// response without a Body, and more than once.
func (r *Response) Close() error {
	if r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

// Reader returns the whole body.
func (r *Response) Reader() io.Reader {
	if r.Body == nil {
		return reader(r.Data, nil)
	}
	return reader(r.Data, r.Body)
}

func reader(data []byte, rest io.Reader) io.Reader {
	switch {
	case rest == nil:
		return bytes.NewReader(data)
	case len(data) == 0:
		return rest
	}
	return io.MultiReader(bytes.NewReader(data), rest)
}

// releasingBody gives a slot of the channel back once, when it is closed.
type releasingBody struct {
	io.ReadCloser
	once    sync.Once
	release func()
}

func (b *releasingBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.release)
	return err
}
