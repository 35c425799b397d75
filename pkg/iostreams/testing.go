package iostreams

import (
	"bytes"
	"sync"
)

// Buffer is a bytes.Buffer that goroutines can share: a command's output may
// come from several of them.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Read implements io.Reader.
func (b *Buffer) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Read(p)
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written and not yet read.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Reset empties the buffer.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

// Test returns streams over buffers: no terminal, an empty environment, and the
// looks of a Unix system wherever the test runs.
func Test() (s *IOStreams, in, out, errOut *Buffer) {
	in, out, errOut = &Buffer{}, &Buffer{}, &Buffer{}
	return &IOStreams{
		In:        in,
		Out:       out,
		ErrOut:    errOut,
		lookupEnv: func(string) (string, bool) { return "", false },
		goos:      "linux",
	}, in, out, errOut
}

// SetTTY makes a test's streams pass for a terminal, or not.
func (s *IOStreams) SetTTY(in, out, errOut bool) { s.inTTY, s.outTTY, s.errTTY = in, out, errOut }

// SetLookupEnv gives a test's streams an environment.
func (s *IOStreams) SetLookupEnv(lookup func(string) (string, bool)) { s.lookupEnv = lookup }

// SetGOOS gives a test's streams the looks of another system.
func (s *IOStreams) SetGOOS(goos string) { s.goos = goos }
