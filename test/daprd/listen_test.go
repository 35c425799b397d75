package daprd

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestUnixDomainSocketsInPlaceOfPorts(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	s := start(t, "a", given{resources: store("mem"), args: []string{"--unix-domain-socket", dir, "--enable-metrics=false"}})
	require.Zero(t, s.HTTPPort)
	require.Zero(t, s.GRPCPort)
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/state/mem", `[{"key":"k","value":1}]`).status)
	got, err := s.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: "mem", Key: "k"})
	require.NoError(t, err)
	require.Equal(t, "1", string(got.GetData()))

	// The one port left is for other sidecars.
	require.Equal(t, []string{portOf(s.Address)}, tcpPorts(t, s.cmd.Process.Pid))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		if info.Mode().Type() == os.ModeSocket {
			names = append(names, e.Name())
		}
	}
	require.Equal(t, []string{"dapr-a-grpc.socket", "dapr-a-http.socket"}, names)
}

func TestASocketThatAKilledSidecarLeftIsTakenOver(t *testing.T) {
	t.Parallel()
	g := given{home: t.TempDir(), args: []string{"--unix-domain-socket", shortDir(t)}}
	start(t, "a", g).kill()
	s := start(t, "a", g)
	require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/v1.0/metadata", "").status)

	code, out := finished(t, g.home, append([]string{"--app-id", "a", "--metrics-port", "0"}, g.args...), nil)
	require.Equal(t, 1, code, "a socket that is in use is not taken over")
	require.Contains(t, out, "dapr-a-http.socket")
}

func TestASocketsFolderThatDoesNotExist(t *testing.T) {
	t.Parallel()
	code, out := finished(t, "", []string{"--app-id", "a", "--metrics-port", "0", "--unix-domain-socket", "/no/such/folder"}, nil)
	require.Equal(t, 1, code)
	require.Contains(t, out, "unix socket /no/such/folder/dapr-a-http.socket: the folder does not exist: create it or choose another --unix-domain-socket")
}

// shortDir is a folder whose path leaves room for a socket's name: the system
// takes about a hundred bytes in all.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "daprd-") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// tcpPorts are the ports that a process listens on.
func tcpPorts(t *testing.T, pid int) []string {
	t.Helper()
	inodes := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	if len(fds) == 0 {
		t.Skip("this system does not tell which ports a process listens on")
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil {
			inodes[link] = true
		}
	}
	var ports []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			col := strings.Fields(lines.Text())
			if len(col) > 9 && col[3] == "0A" && inodes["socket:["+col[9]+"]"] {
				n, err := strconv.ParseInt(portOf(col[1]), 16, 32)
				require.NoError(t, err)
				ports = append(ports, strconv.Itoa(int(n)))
			}
		}
	}
	slices.Sort(ports)
	return ports
}

func TestThePublicPortServesHealthAndMetadataOnly(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := start(t, "a", given{resources: store("mem"), env: []string{"DAPR_API_TOKEN=t"}, args: []string{"--dapr-public-port", port, "--dapr-public-listen-address", "127.0.0.1"}})
	for path, want := range map[string]int{
		"/v1.0/healthz": 204, "/v1.0/healthz/outbound": 204, "/v1.0/metadata": 200, "/v1.0/state/mem/k": 404, "/v1.0/invoke/b/method/c": 404,
	} {
		a, err := request(s.client, http.MethodGet, "http://127.0.0.1:"+port+path, "")
		require.NoError(t, err)
		require.Equal(t, want, a.status, path)
	}
	a, err := request(s.client, http.MethodPost, "http://127.0.0.1:"+port+"/v1.0/shutdown", "")
	require.NoError(t, err)
	require.Equal(t, 404, a.status)
}

func TestHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: h2c}}
	defer client.CloseIdleConnections()

	s := start(t, "a", given{})
	res, err := client.Get(s.base + "/v1.0/metadata")
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 2, res.ProtoMajor)
	require.Equal(t, 200, res.StatusCode)

	s = start(t, "b", given{env: []string{"DAPR_HTTP_DISABLE_H2C=true"}})
	res, err = client.Get(s.base + "/v1.0/metadata")
	if err == nil {
		res.Body.Close()
	}
	require.Error(t, err)
}

func TestCORS(t *testing.T) {
	t.Parallel()
	preflight := []string{"Origin: https://page.example", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-mine"}
	for _, c := range []struct {
		name, origins, allowed string
	}{
		{"off", "", ""},
		{"all", "*", "*"},
		{"listed", "https://other.example,https://page.example", "https://page.example"},
		{"not listed", "https://other.example", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "a", given{resources: store("mem"), env: []string{"DAPR_API_TOKEN=t"}, args: []string{"--allowed-origins", c.origins}})
			a := s.call(http.MethodOptions, "/v1.0/state/mem", "", preflight...)
			require.Equal(t, c.allowed, a.header.Get("Access-Control-Allow-Origin"))
			if c.allowed == "" {
				require.Empty(t, a.header.Get("Access-Control-Allow-Methods"))
			} else {
				require.Equal(t, http.StatusNoContent, a.status, "a browser asks without a token")
				require.Contains(t, a.header.Get("Access-Control-Allow-Methods"), "PUT")
				require.Equal(t, "x-mine", a.header.Get("Access-Control-Allow-Headers"))
			}
			a = s.call(http.MethodGet, "/v1.0/state/mem/k", "", "Origin: https://page.example", "dapr-api-token: t")
			require.Equal(t, http.StatusNoContent, a.status)
			require.Equal(t, c.allowed, a.header.Get("Access-Control-Allow-Origin"))
		})
	}
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	// net/http adds 4 KiB of its own to what it is told.
	header := func(size int) string { return "X-Long: " + strings.Repeat("x", size) }
	s := start(t, "small", given{})
	require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/v1.0/metadata", "", header(3<<10)).status)
	single := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // refused connections are of no more use
	a, err := request(single, http.MethodGet, s.base+"/v1.0/metadata", "", header(32<<10))
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, a.status)
	ask := func(s *sidecar, size int) error {
		_, err := s.GetMetadata(metadata.AppendToOutgoingContext(t.Context(), "x-long", strings.Repeat("x", size)), &runtimev1.GetMetadataRequest{})
		return err
	}
	require.NoError(t, ask(s, 3<<10))
	require.Error(t, ask(s, 32<<10))

	s = start(t, "large", given{args: []string{"--read-buffer-size", "64Ki"}})
	require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/v1.0/metadata", "", header(32<<10)).status)
	require.NoError(t, ask(s, 32<<10))
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	app := httpApp(t, echo)
	s := start(t, "a", given{resources: store("mem"), args: []string{"--max-body-size", "1Mi", "--app-port", app}})
	value := func(size int) string { return `[{"key":"k","value":"` + strings.Repeat("x", size) + `"}]` }
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/state/mem", value(1<<20-100)).status)
	a := s.call(http.MethodPost, "/v1.0/state/mem", value(1<<20))
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.body, "ERR_MALFORMED_REQUEST")
	require.Contains(t, a.body, "stream too large")
	a = s.call(http.MethodPut, "/v1.0/metadata/k", strings.Repeat("x", 1<<20+1))
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.body, "ERR_BODY_READ")
	a = s.call(http.MethodPost, "/v1.0/invoke/a/method/x", strings.Repeat("x", 1<<20+1))
	require.GreaterOrEqual(t, a.status, 400)
	require.Contains(t, a.body, "stream too large")

	_, err := s.SetMetadata(t.Context(), &runtimev1.SetMetadataRequest{Key: "k", Value: strings.Repeat("x", 1<<20+1)})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))

	s = start(t, "b", given{resources: store("mem"), args: []string{"--max-body-size", "-1"}})
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/state/mem", value(5<<20)).status, "no limit")
	got, err := s.GetMetadata(t.Context(), &runtimev1.GetMetadataRequest{})
	require.NoError(t, err)
	require.Equal(t, "b", got.GetId())
	_, err = s.SetMetadata(t.Context(), &runtimev1.SetMetadataRequest{Key: "k", Value: strings.Repeat("x", 5<<20)})
	require.NoError(t, err, "no limit")
}

// A request that is cut off must not be taken for the whole.
func TestARequestThatBreaksOff(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{resources: store("mem")})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	require.NoError(t, err)
	fmt.Fprint(conn, "POST /v1.0/state/mem HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"+`[{"key":"k","value":1}]`)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer := new(bytes.Buffer)
	_, _ = answer.ReadFrom(conn)
	require.Contains(t, answer.String(), "400 Bad Request")
	require.Equal(t, http.StatusNoContent, s.call(http.MethodGet, "/v1.0/state/mem/k", "").status)
}

func TestProfiling(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := start(t, "a", given{args: []string{"--enable-profiling", "--profile-port", port}})
	a, err := request(s.client, http.MethodGet, "http://127.0.0.1:"+port+"/debug/pprof/cmdline", "")
	require.NoError(t, err)
	require.Contains(t, a.body, "--enable-profiling")
}
