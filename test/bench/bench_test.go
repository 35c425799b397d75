package main

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadAnswer(t *testing.T) {
	for name, tt := range map[string]struct{ answer, err string }{
		"length":       {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", ""},
		"chunks":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
		"other status": {"HTTP/1.1 500 Internal Server Error\r\n\r\nwhy", `expected status 200, not "HTTP/1.1 500 Internal Server Error"`},
		"cut off":      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			in := bufio.NewReader(strings.NewReader(tt.answer))
			err := readAnswer(in, 200)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Zero(t, in.Buffered(), "the next answer starts where this one ends")
		})
	}
}

func TestSend(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(bare))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	for _, r := range []request{get(addr, "/"), post(addr, "/", order, 204)} {
		l, err := send(t.Context(), r, 2, 20*time.Millisecond)
		require.NoError(t, err)
		require.NotEmpty(t, l.latencies)
		require.LessOrEqual(t, l.percentile(50), l.percentile(99))
	}
	_, err := send(t.Context(), post(addr, "/", order, 200), 2, time.Millisecond)
	require.ErrorContains(t, err, "expected status 200")
}

func TestReverseProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(app))
	defer server.Close()
	target, err := url.Parse(server.URL)
	require.NoError(t, err)
	proxy := httptest.NewServer(reverseProxy(target))
	defer proxy.Close()
	_, err = send(t.Context(), post(strings.TrimPrefix(proxy.URL, "http://"), "/neworder", order, 200), 1, time.Millisecond)
	require.NoError(t, err)
}

func TestOwnProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc here")
	}
	m, err := memoryOf(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, m.resident, m.anonymous)

	ticks, err := cpuTicks(os.Getpid())
	require.NoError(t, err)
	precise, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	require.InDelta(t, ticks.Seconds(), precise.Seconds(), 0.5)
}

func TestTable(t *testing.T) {
	var b strings.Builder
	table(&b, [][]string{{"", "p50"}, {"get", "12 µs"}})
	require.Equal(t, "|     | p50   |\n| --- | ----- |\n| get | 12 µs |\n", b.String())
}
