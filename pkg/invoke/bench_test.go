//go:build unix

package invoke

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/app"
)

// BenchmarkInvoke compares a call through two sidecars with the same call
// through two reverse proxies and without anything in between, at 32
// connections. All of it runs in this process, client and app too: what a pair
// costs is its cpu-µs/op less that of "direct".
func BenchmarkInvoke(b *testing.B) {
	answer := bytes.Repeat([]byte("x"), 128)
	backend := serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
	folder := b.TempDir()
	start(b, folder, "callee", withApp(b, app.HTTP, backend))
	caller := start(b, folder, "caller")
	inner := reverseProxy(b, backend)
	outer := reverseProxy(b, inner)

	for _, target := range []struct{ name, url, path string }{
		{"direct", backend, "/hello"},
		{"proxies", outer, "/hello"},
		{"sidecars", caller.url, "/v1.0/invoke/callee/method/hello"},
	} {
		for _, body := range []string{"", strings.Repeat("y", 128)} {
			b.Run(fmt.Sprintf("%s/body=%d", target.name, len(body)), func(b *testing.B) {
				drive(b, target.url, target.path, body)
			})
		}
	}
}

func reverseProxy(b *testing.B, target string) string {
	b.Helper()
	u, err := url.Parse(target)
	require.NoError(b, err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	s := httptest.NewServer(proxy)
	b.Cleanup(s.Close)
	return s.URL
}

// drive sends b.N requests over 32 connections and reports the CPU time of the
// process for each.
func drive(b *testing.B, base, path, body string) {
	b.Helper()
	const connections = 32
	address := strings.TrimPrefix(base, "http://")
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	raw := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, address, len(body), body)
	conns := make([]net.Conn, connections)
	for i := range conns {
		conn, err := net.Dial("tcp", address)
		require.NoError(b, err)
		defer conn.Close()
		conns[i] = conn
	}
	var left atomic.Int64
	send := func(n int) {
		left.Store(int64(n))
		var wg sync.WaitGroup
		for _, conn := range conns {
			wg.Go(func() {
				in := bufio.NewReader(conn)
				for left.Add(-1) >= 0 {
					if _, err := conn.Write(raw); err != nil {
						b.Error(err)
						return
					}
					resp, err := http.ReadResponse(in, nil)
					if err != nil || resp.StatusCode != http.StatusOK {
						b.Error(resp, err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
		wg.Wait()
	}
	send(10 * connections) // connections, pools and stacks are there now
	before := cpuTime(b)
	b.ResetTimer()
	send(b.N)
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
