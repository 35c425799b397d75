package peer

import (
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc/mem"
)

// body reads the payloads that follow a stream's first message. Read may be
// called by another goroutine than Close.
type body struct {
	stream receiver
	seq    sequence
	stop   func() // ends the stream; nil when it ends by itself

	stopped sync.Once

	mu    sync.Mutex
	frame frame
	err   error
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.frame.data) == 0 {
		if b.err == nil {
			b.err = b.next()
		}
		if b.err != nil {
			b.frame.free()
			return 0, b.err
		}
	}
	n := copy(p, b.frame.data)
	b.frame.data = b.frame.data[n:]
	return n, nil
}

// next receives a payload; io.EOF is the body's end.
func (b *body) next() error { return b.seq.receive(b.stream, &b.frame, false) }

// Close ends the stream first, which lets a Read that waits return.
func (b *body) Close() error {
	if b.stop != nil {
		b.stopped.Do(b.stop)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = errClosed
	}
	b.frame.free()
	return nil
}

var errClosed = errors.New("read on a closed body")

// send sends a body in chunks, each as soon as it can be read.
func send(stream interface{ SendMsg(any) error }, seq uint64, from io.Reader) error {
	for {
		b := mem.DefaultBufferPool().Get(chunkSize)
		n, err := from.Read(*b)
		*b = (*b)[:n]
		if n == 0 {
			mem.DefaultBufferPool().Put(b)
		} else {
			if err := stream.SendMsg(chunkFrame(seq, b)); err != nil {
				return err
			}
			seq++
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
