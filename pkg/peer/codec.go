package peer

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec for everything else
	"google.golang.org/grpc/mem"
)

// Codec is gRPC's protobuf codec, and passes the messages of this package as
// they are, without a copy. A server that serves calls between sidecars, or
// passes calls on (see Raw), needs it: grpc.ForceServerCodecV2(peer.Codec()).
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2("proto")} }

// message is what the codec passes without a copy.
type message interface {
	// take hands the encoded message over to gRPC.
	take() mem.BufferSlice
	// put is given a received message. It takes a reference of its own to what it
	// keeps of data.
	put(data mem.BufferSlice)
}

type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(message); ok {
		return m.take(), nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(message); ok {
		m.put(data)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// Raw is an encoded message of any type, on its way from one stream to another.
// Receive into it, send it, and receive again.
type Raw struct {
	buffers mem.BufferSlice
}

func (r *Raw) take() mem.BufferSlice {
	b := r.buffers
	r.buffers = nil
	return b
}

func (r *Raw) put(data mem.BufferSlice) {
	data.Ref()
	r.buffers = data
}

// unary is the one message of an unary call: encoded to send, or received.
type unary struct {
	encoded  mem.BufferSlice
	received string
}

func (u *unary) take() mem.BufferSlice {
	b := u.encoded
	u.encoded = nil
	return b
}

func (u *unary) put(data mem.BufferSlice) { u.received = string(data.Materialize()) }

// pooled returns an encoded message that stands in a pooled buffer.
func pooled(b *[]byte) mem.BufferSlice {
	return mem.BufferSlice{mem.NewBuffer(b, mem.DefaultBufferPool())}
}
