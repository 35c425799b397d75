package grpcapi

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// countedStream gives a stream the admitted context and, if asked to, counts
// its bytes. Sending and receiving go on at the same time.
type countedStream struct {
	grpc.ServerStream
	ctx            context.Context //nolint:containedctx // a stream is asked for it
	count          bool
	received, sent atomic.Int64
}

func (s *countedStream) Context() context.Context { return s.ctx }

func (s *countedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil && s.count {
		s.received.Add(int64(size(m)))
	}
	return err
}

func (s *countedStream) SendMsg(m any) error {
	if s.count {
		s.sent.Add(int64(size(m))) // before grpc-go takes m over
	}
	return s.ServerStream.SendMsg(m)
}

// size is a message's encoded size, in bytes. A proxied message is not decoded
// and tells its size itself.
func size(m any) int {
	switch m := m.(type) {
	case proto.Message:
		return proto.Size(m)
	case interface{ Size() int }:
		return m.Size()
	}
	return 0
}
