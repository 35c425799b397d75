package httpapi

import (
	"io"
	"net/http"
	"sync"
)

// recorder remembers what was answered. http.ResponseController finds the
// connection's abilities through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int
	size   int64
}

// recorders is a pool, not state: a recorder belongs to one request at a time.
var recorders = sync.Pool{New: func() any { return new(recorder) }}

func record(w http.ResponseWriter) *recorder {
	rec := recorders.Get().(*recorder)
	*rec = recorder{ResponseWriter: w}
	return rec
}

func (rec *recorder) release() {
	rec.ResponseWriter = nil
	recorders.Put(rec)
}

// code is the final status; net/http answers 200 for a handler that sets none.
func (rec *recorder) code() int {
	if rec.status == 0 {
		return http.StatusOK
	}
	return rec.status
}

func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

func (rec *recorder) WriteHeader(status int) {
	if rec.status < http.StatusOK { // an informational status is not the last
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(p []byte) (int, error) {
	n, err := rec.ResponseWriter.Write(p)
	rec.size += int64(n)
	return n, err
}

// WriteString keeps io.WriteString from copying.
func (rec *recorder) WriteString(s string) (int, error) {
	n, err := io.WriteString(rec.ResponseWriter, s)
	rec.size += int64(n)
	return n, err
}

// ReadFrom keeps the copy inside net/http, which has the buffers for it.
func (rec *recorder) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(rec.ResponseWriter, src)
	rec.size += n
	return n, err
}

// Flush implements http.Flusher for handlers that ask for it directly.
func (rec *recorder) Flush() { _ = http.NewResponseController(rec.ResponseWriter).Flush() }
