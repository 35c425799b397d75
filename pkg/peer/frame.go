package peer

import (
	"bytes"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/app"
)

// frame is one message of a call's stream, InternalInvokeRequestStream or
// InternalInvokeResponseStream: they have the same shape. The first one has a
// head and may have a payload, the others have a payload only.
type frame struct {
	encoded mem.BufferSlice // to send

	// Received:
	head       string // the encoded request or response
	hasHead    bool
	data       []byte // the payload's data, valid until free
	seq        uint64
	hasPayload bool
	memory     mem.Buffer
}

// chunkSize is how much of a body goes into one message, in bytes.
const chunkSize = 32 << 10

func requestFrame(r *app.Request) *frame {
	n := sizeRequest(r, nil)
	b := newBuffer(sizeField(streamHead, n) + sizeFirstPayload(r.Data))
	*b = appendLen(*b, streamHead, n)
	*b = appendRequest(*b, r, nil)
	*b = appendFirstPayload(*b, r.Data)
	return &frame{encoded: pooled(b)}
}

func responseFrame(r *app.Response) *frame {
	n := sizeResponse(r, nil)
	b := newBuffer(sizeField(streamHead, n) + sizeFirstPayload(r.Data))
	*b = appendLen(*b, streamHead, n)
	*b = appendResponse(*b, r, nil)
	*b = appendFirstPayload(*b, r.Data)
	return &frame{encoded: pooled(b)}
}

// newBuffer returns an empty pooled buffer with room for n bytes.
func newBuffer(n int) *[]byte {
	b := mem.DefaultBufferPool().Get(n)
	*b = (*b)[:0]
	return b
}

// The first payload has the sequence number 0, which is not written.

func sizeFirstPayload(data []byte) int {
	if len(data) == 0 {
		return 0
	}
	return sizeField(streamPayload, sizeField(payloadData, len(data)))
}

func appendFirstPayload(b, data []byte) []byte {
	if len(data) == 0 {
		return b
	}
	b = appendLen(b, streamPayload, sizeField(payloadData, len(data)))
	b = appendLen(b, payloadData, len(data))
	return append(b, data...)
}

// chunkFrame takes over data, which is pooled. The data goes last, so that it
// need not be copied behind its length.
func chunkFrame(seq uint64, data *[]byte) *frame {
	head := make([]byte, 0, 32)
	head = appendLen(head, streamPayload, sizeVarint(payloadSeq, seq)+sizeField(payloadData, len(*data)))
	head = appendVarint(head, payloadSeq, seq)
	head = appendLen(head, payloadData, len(*data))
	return &frame{encoded: mem.BufferSlice{mem.SliceBuffer(head), mem.NewBuffer(data, mem.DefaultBufferPool())}}
}

func (f *frame) take() mem.BufferSlice {
	b := f.encoded
	f.encoded = nil
	return b
}

func (f *frame) put(data mem.BufferSlice) {
	f.free()
	if len(data) == 1 {
		f.memory = data[0]
		f.memory.Ref()
	} else {
		f.memory = data.MaterializeToBuffer(mem.DefaultBufferPool())
	}
}

// parse reads the message that was received; its parts are valid until free.
func (f *frame) parse() error {
	*f = frame{memory: f.memory}
	for field, err := range fields(f.memory.ReadOnlyData()) {
		if err != nil {
			return err
		}
		switch field.num {
		case streamHead:
			f.head, f.hasHead = string(field.data), true
		case streamPayload:
			if err := f.parsePayload(field.data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *frame) parsePayload(b []byte) error {
	f.hasPayload = true
	for field, err := range fields(b) {
		if err != nil {
			return err
		}
		switch field.num {
		case payloadData:
			f.data = field.data
		case payloadSeq:
			f.seq = field.value
		}
	}
	return nil
}

// free gives the received memory back; data is no longer valid.
func (f *frame) free() {
	if f.memory != nil {
		f.memory.Free()
		f.memory, f.data = nil, nil
	}
}

// keep returns the payload's data for longer than the frame lives.
func (f *frame) keep() []byte {
	if len(f.data) == 0 {
		return nil
	}
	return bytes.Clone(f.data)
}

// sequence numbers a stream's payloads: from 0, without a gap.
type sequence uint64

// receive reads the next message of the stream, the first of which alone has a
// head.
func (s *sequence) receive(stream receiver, f *frame, first bool) error {
	if err := stream.RecvMsg(f); err != nil {
		return err
	}
	switch err := f.parse(); {
	case err != nil:
		return status.Error(codes.InvalidArgument, err.Error())
	case first && !f.hasHead:
		return status.Error(codes.InvalidArgument, "the first message of the stream has no metadata")
	case !first && f.hasHead:
		return status.Error(codes.InvalidArgument, "a message in the middle of the stream has metadata")
	case !first && !f.hasPayload:
		return status.Error(codes.InvalidArgument, "a message in the middle of the stream has no payload")
	case f.hasPayload && f.seq != uint64(*s):
		return status.Errorf(codes.InvalidArgument, "the stream has a gap: expected payload %d, got %d", *s, f.seq)
	case f.hasPayload:
		*s++
	}
	return nil
}

// receiver is the receiving half of a client or server stream.
type receiver interface{ RecvMsg(any) error }
