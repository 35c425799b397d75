package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// request is one HTTP request, written out once and sent many times.
type request struct {
	addr   string
	raw    []byte
	status int // of the expected answer
}

func get(addr, path string) request {
	return request{addr: addr, status: 200, raw: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr)}
}

func post(addr, path, body string, status int) request {
	return request{addr: addr, status: status, raw: fmt.Appendf(nil,
		"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, addr, len(body), body)}
}

// load is what a number of connections that send one request after another saw.
type load struct {
	latencies []time.Duration // sorted
	elapsed   time.Duration
}

func (l load) perSecond() float64 { return float64(len(l.latencies)) / l.elapsed.Seconds() }

// percentile returns the latency that p percent of the requests did not exceed.
func (l load) percentile(p int) time.Duration {
	if len(l.latencies) == 0 {
		return 0
	}
	return l.latencies[min(len(l.latencies)*p/100, len(l.latencies)-1)]
}

// send repeats the request on every connection for the duration. An answer that
// is not the expected one is an error: nothing else is worth measuring.
func send(ctx context.Context, r request, connections int, d time.Duration) (load, error) {
	group, ctx := errgroup.WithContext(ctx)
	results := make([][]time.Duration, connections)
	start := time.Now()
	for i := range connections {
		group.Go(func() (err error) {
			results[i], err = sendOn(ctx, r, start.Add(d))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return load{}, err
	}
	l := load{elapsed: time.Since(start), latencies: slices.Concat(results...)}
	slices.Sort(l.latencies)
	return l, nil
}

// sendOn is a client that does as little as can be: it takes the processor from
// what is measured.
func sendOn(ctx context.Context, r request, end time.Time) ([]time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.SetDeadline(end.Add(10 * time.Second)); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	latencies := make([]time.Duration, 0, 1<<14)
	for now := time.Now(); now.Before(end); {
		if _, err := conn.Write(r.raw); err != nil {
			return nil, err
		}
		if err := readAnswer(in, r.status); err != nil {
			return nil, err
		}
		done := time.Now()
		latencies = append(latencies, done.Sub(now))
		now = done
	}
	return latencies, nil
}

var (
	contentLength = []byte("content-length:")
	chunked       = []byte("transfer-encoding: chunked")
)

// readAnswer reads one HTTP response and throws it away.
func readAnswer(in *bufio.Reader, status int) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, fmt.Appendf(nil, "HTTP/1.1 %d ", status)) {
		line = bytes.Clone(line)
		rest, _ := in.Peek(in.Buffered())
		return fmt.Errorf("expected status %d, not %q %q", status, bytes.TrimSpace(line), rest)
	}
	length, isChunked := 0, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.ToLower(bytes.TrimSpace(line))
		if len(line) == 0 {
			break
		}
		if v, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return err
			}
		}
		isChunked = isChunked || bytes.Equal(line, chunked)
	}
	if isChunked {
		return discardChunks(in)
	}
	_, err = in.Discard(length)
	return err
}

func discardChunks(in *bufio.Reader) error {
	text := textproto.NewReader(in)
	for {
		line, err := text.ReadLine()
		if err != nil {
			return err
		}
		hex, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(hex, 16, 31)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if _, err := in.Discard(int(size) + len("\r\n")); err != nil {
			return err
		}
	}
	if _, err := text.ReadMIMEHeader(); err != nil && !errors.Is(err, io.EOF) { // trailers
		return err
	}
	return nil
}
