package placement

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/service"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

const patience = 30 * time.Second

// roleVariable makes the test program the placement service, so that replicas
// can be processes that are killed.
const roleVariable = "PLACEMENT_TEST_IS_PLACEMENT"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	os.Exit(service.ExitCode(Main(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)))
}

// replica is a process.
type replica struct {
	id                     string
	port, healthz, metrics int
	args                   []string
	env                    []string

	cmd  *exec.Cmd
	done chan error

	mu  sync.Mutex
	log strings.Builder
}

// cluster has n replicas that are not started.
func cluster(t *testing.T, n int, args ...string) []*replica {
	t.Helper()
	var replicas []*replica
	var peers []string
	for i := range n {
		r := &replica{id: fmt.Sprint("dapr-placement-", i), port: free(t), healthz: free(t), metrics: free(t)}
		replicas = append(replicas, r)
		peers = append(peers, fmt.Sprintf("%s=127.0.0.1:%d", r.id, free(t)))
	}
	for _, r := range replicas {
		r.args = append([]string{
			"--id=" + r.id, "--initial-cluster=" + strings.Join(peers, ","), "--log-level=debug", "--metadata-enabled",
			"--listen-address=127.0.0.1", "--healthz-listen-address=127.0.0.1", "--metrics-listen-address=127.0.0.1",
			fmt.Sprintf("--port=%d", r.port), fmt.Sprintf("--healthz-port=%d", r.healthz), fmt.Sprintf("--metrics-port=%d", r.metrics),
		}, args...)
	}
	return replicas
}

// free is a port that stays free while a replica is down: systems give others
// higher ones when they ask for any.
func free(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10000 + mathrand.N(20000)
		if l, err := freeport.Listen("127.0.0.1", port, ""); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func (r *replica) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.Command(os.Args[0], r.args...)
	r.cmd.Env = append(append(os.Environ(), roleVariable+"=1"), r.env...)
	out, err := r.cmd.StdoutPipe()
	require.NoError(t, err)
	r.cmd.Stderr = r.cmd.Stdout
	require.NoError(t, r.cmd.Start())
	cmd, done := r.cmd, make(chan error, 1)
	r.done = done
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.mu.Lock()
			r.log.WriteString(lines.Text() + "\n")
			r.mu.Unlock()
		}
		done <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Logf("%s:\n%s", r.id, r.text())
		}
	})
}

func (r *replica) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// stop asks the process to end, and waits.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	select {
	case err := <-r.done:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal(r.id + " does not end")
	}
}

func (r *replica) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, r.cmd.Process.Kill())
	<-r.done
}

func get(port int, path string) string {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path)) //nolint:noctx // a test
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(text)))
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 20*time.Millisecond, what)
}

func (r *replica) ready(t *testing.T) {
	t.Helper()
	eventually(t, r.id+" is ready", func() bool { return get(r.healthz, "/healthz") == "200 ok" })
}

func (r *replica) leads() bool {
	text := get(r.metrics, "/metrics")
	return strings.Contains(text, "dapr_placement_leader_status 1") && strings.Contains(text, "dapr_placement_raft_leader_status 1")
}

// leader waits for the one that leads.
func leader(t *testing.T, replicas []*replica) *replica {
	t.Helper()
	var found *replica
	eventually(t, "one replica leads", func() bool {
		var all []*replica
		for _, r := range replicas {
			if r.leads() {
				all = append(all, r)
			}
		}
		if len(all) == 1 {
			found = all[0]
		}
		return found != nil
	})
	return found
}

// client is a sidecar that keeps a stream to whichever replica leads.
type client struct {
	host  *placementv1.Host
	conns []*grpc.ClientConn

	mu      sync.Mutex
	tables  *placementv1.PlacementTables // of the stream that there is; nil without
	version uint64
	errors  []error
}

func connect(t *testing.T, creds credentials.TransportCredentials, h *placementv1.Host, replicas ...*replica) *client {
	t.Helper()
	c := &client{host: h}
	for _, r := range replicas {
		conn, err := grpc.NewClient(fmt.Sprintf("passthrough:///127.0.0.1:%d", r.port), grpc.WithTransportCredentials(creds))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		c.conns = append(c.conns, conn)
	}
	return c
}

// run goes from replica to replica.
func (c *client) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		err := c.stream(ctx, c.conns[i%len(c.conns)])
		c.mu.Lock()
		c.tables = nil
		c.errors = append(c.errors, err)
		c.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *client) stream(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := placementv1.NewPlacementClient(conn).ReportDaprStatus(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(c.host); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		order, err := stream.Recv()
		if err != nil {
			return err
		}
		if order.GetOperation() == "update" {
			c.mu.Lock()
			c.tables, c.version = order.GetTables(), order.GetVersion()
			c.mu.Unlock()
		}
		ack := &placementv1.Host{
			Operation: placementv1.HostOperation(placementv1.HostOperation_value[strings.ToUpper(order.GetOperation())]), Version: &order.Version,
		}
		if err := stream.Send(ack); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

func (c *client) hosts(actorType string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.tables.GetEntries()[actorType].GetLoadMap()))
}

// ends are the errors that streams have ended with.
func (c *client) ends() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.errors)
}

func (c *client) waitFor(t *testing.T, actorType string, hosts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s knows %v", c.host.GetId(), hosts), func() bool { return slices.Equal(c.hosts(actorType), hosts) })
}

// sidecars are two in a namespace, and one in another.
func sidecars(t *testing.T, replicas []*replica) (a, b, other *client) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	start := func(h *placementv1.Host) *client {
		c := connect(t, insecure.NewCredentials(), h, replicas...)
		running.Go(func() { c.run(ctx) })
		return c
	}
	return start(newHost("shop", "a", "Cart")), start(newHost("shop", "b", "Cart", "User")), start(newHost("office", "c", "Cart"))
}

func TestOneReplica(t *testing.T) {
	replicas := cluster(t, 1)
	r := replicas[0]
	r.start(t)
	r.ready(t)
	a, b, other := sidecars(t, replicas)
	a.waitFor(t, "Cart", "a:50002", "b:50002")
	b.waitFor(t, "Cart", "a:50002", "b:50002")
	a.waitFor(t, "User", "b:50002")
	other.waitFor(t, "Cart", "c:50002")
	require.Contains(t, get(r.healthz, "/placement/state"), `"office"`)
	text := get(r.metrics, "/metrics")
	require.Contains(t, text, `dapr_placement_runtimes_total{host_namespace="shop"} 2`)
	require.Contains(t, text, `dapr_placement_actor_runtimes_total{host_namespace="office"} 1`)

	guest, leave := context.WithCancel(t.Context())
	c := connect(t, insecure.NewCredentials(), newHost("shop", "guest"), replicas...)
	left := make(chan error, 1)
	go func() { left <- c.stream(guest, c.conns[0]) }()
	c.waitFor(t, "Cart", "a:50002", "b:50002")
	leave()
	require.Error(t, <-left)
	eventually(t, "the guest is forgotten", func() bool { return !strings.Contains(get(r.healthz, "/placement/state"), "guest") })

	began := time.Now()
	r.stop(t)
	require.Less(t, time.Since(began), 5*time.Second, "streams do not hold it up")
	require.Contains(t, r.text(), "Dapr placement stopped")
	require.ErrorContains(t, a.ends()[0], "shutting down")
}

func TestAStreamThatDoesNotAcknowledgeIsEnded(t *testing.T) {
	replicas := cluster(t, 1, "--disseminate-timeout=300ms")
	replicas[0].start(t)
	replicas[0].ready(t)
	a, b, _ := sidecars(t, replicas)
	a.waitFor(t, "Cart", "a:50002", "b:50002")

	mute := connect(t, insecure.NewCredentials(), newHost("shop", "mute", "Cart"), replicas...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := placementv1.NewPlacementClient(mute.conns[0]).ReportDaprStatus(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(mute.host))
	order, err := stream.Recv()
	require.NoError(t, err)
	require.Equal(t, "lock", order.GetOperation())
	_, err = stream.Recv()
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	require.ErrorContains(t, err, fmt.Sprintf("no acknowledgement of lock of version %d within 300ms", order.GetVersion()))
	for _, c := range []*client{a, b} {
		c.waitFor(t, "Cart", "a:50002", "b:50002")
		require.Empty(t, c.ends())
	}
}

func TestThreeReplicasSurviveTheLossOfAnyOne(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(*replica, *testing.T)
		args func(*testing.T) []string
	}{
		{"killed", (*replica).kill, func(*testing.T) []string { return nil }},
		{"asked to end", (*replica).stop, func(t *testing.T) []string {
			t.Helper()
			// Replicas are told apart by their ids.
			return []string{"--inmem-store-enabled=false", "--raft-logstore-path=" + t.TempDir() + "/ID"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			replicas := cluster(t, 3, c.args(t)...)
			for _, r := range replicas {
				for i := range r.args {
					r.args[i] = strings.Replace(r.args[i], "/ID", "/"+r.id, 1)
				}
				r.start(t)
			}
			for _, r := range replicas {
				r.ready(t)
			}
			a, b, other := sidecars(t, replicas)
			var leaders []*replica
			for range 2 {
				l := leader(t, replicas)
				leaders = append(leaders, l)
				for _, c := range []*client{a, b} {
					c.waitFor(t, "Cart", "a:50002", "b:50002")
				}
				other.waitFor(t, "Cart", "c:50002")
				before := a.ends()
				c.lose(l, t)
				eventually(t, "the stream ends", func() bool { return len(a.ends()) > len(before) })
				began := time.Now()
				for _, c := range []*client{a, b} {
					c.waitFor(t, "Cart", "a:50002", "b:50002")
				}
				other.waitFor(t, "Cart", "c:50002")
				t.Logf("tables again after %v", time.Since(began))
				next := leader(t, replicas)
				require.NotEqual(t, l.id, next.id)

				// It comes back and follows.
				l.start(t)
				l.ready(t)
				require.False(t, l.leads())
			}
			require.Len(t, leaders, 2)

			// The loss of a follower is not noticed.
			l := leader(t, replicas)
			follower := replicas[(slices.Index(replicas, l)+1)%3]
			before := a.ends()
			c.lose(follower, t)
			require.True(t, l.leads())
			require.Equal(t, "200 ok", get(l.healthz, "/healthz"))
			require.Equal(t, before, a.ends())

			// Without a majority nobody leads, and nobody is ready.
			last := replicas[(slices.Index(replicas, l)+2)%3]
			c.lose(l, t)
			eventually(t, "not ready", func() bool {
				return strings.HasPrefix(get(last.healthz, "/healthz"), "500 not ready: leader: none is elected")
			})
			require.False(t, last.leads())
			err := connect(t, insecure.NewCredentials(), a.host, last).first(t)
			require.ErrorContains(t, err, "is not a leader")
		})
	}
}

// first is how the first stream ends.
func (c *client) first(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return c.stream(ctx, c.conns[0])
}

// ca is a certificate authority that gives everybody what they ask for.
type ca struct {
	sentryv1.UnimplementedCAServer
	authority *authority.Authority
	address   string
	anchors   string // file
}

func newCA(t *testing.T) *ca {
	t.Helper()
	sentry := security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Sentry}
	bundle, err := authority.New(authority.Options{ID: sentry, Now: time.Now(), ClockSkew: time.Minute})
	require.NoError(t, err)
	a, err := authority.Parse(bundle, time.Now())
	require.NoError(t, err)
	c := &ca{authority: a, anchors: filepath.Join(t.TempDir(), "ca.crt")}
	require.NoError(t, os.WriteFile(c.anchors, bundle.Anchors, 0o600))

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	chain, err := a.Sign(authority.Request{ID: sentry, Public: key.Public(), Now: time.Now(), ClockSkew: time.Minute, TTL: time.Hour})
	require.NoError(t, err)
	own := tls.Certificate{PrivateKey: key}
	for _, cert := range chain {
		own.Certificate = append(own.Certificate, cert.Raw)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.address = l.Addr().String()
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13})))
	sentryv1.RegisterCAServer(server, c)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return c
}

func (c *ca) SignCertificate(_ context.Context, r *sentryv1.SignCertificateRequest) (*sentryv1.SignCertificateResponse, error) {
	block, _ := pem.Decode(r.GetCertificateSigningRequest())
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	chain, err := c.authority.Sign(authority.Request{
		ID:     security.ID{TrustDomain: "cluster.local", Namespace: r.GetNamespace(), AppID: r.GetId()},
		Public: csr.PublicKey, Now: time.Now(), ClockSkew: time.Minute, TTL: time.Hour,
	})
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, cert := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return &sentryv1.SignCertificateResponse{WorkloadCertificate: text, TrustChainCertificates: [][]byte{c.authority.Bundle().Anchors}}, nil
}

// identity is that of an app.
func (c *ca) identity(t *testing.T, namespace, app string) *security.Provider {
	t.Helper()
	id := security.ID{TrustDomain: "cluster.local", Namespace: namespace, AppID: app}
	p, err := security.NewProvider(security.Options{
		ID: id, Sentry: security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Sentry},
		SentryAddress: c.address, Anchors: security.AnchorsFromFile(c.anchors), Log: telemetry.Discard(),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-p.Ready():
	case <-time.After(patience):
		t.Fatal("no certificate")
	}
	return p
}

func TestIdentities(t *testing.T) {
	authority := newCA(t)
	replicas := cluster(t, 3, "--tls-enabled", "--trust-domain=cluster.local", "--trust-anchors-file="+authority.anchors, "--sentry-address="+authority.address)
	for _, r := range replicas {
		r.env = []string{"NAMESPACE=dapr-system"}
		r.start(t)
	}
	for _, r := range replicas {
		r.ready(t)
	}
	l := leader(t, replicas)
	placementID := security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Placement}
	a := authority.identity(t, "shop", "a")
	creds := a.ClientCredentials(security.Exactly(placementID))

	for _, c := range []struct {
		name  string
		creds credentials.TransportCredentials
		host  *placementv1.Host
		want  string
	}{
		{"plaintext", insecure.NewCredentials(), newHost("shop", "a"), "code = Unavailable"},
		{"no certificate", credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}), newHost("shop", "a"), "code = Unavailable"},
		{"another app", creds, newHost("shop", "b", "Cart"), `proved to be app "a" and says that it is "b"`},
		{"another namespace", creds, newHost("office", "a", "Cart"), `proved to be of namespace "shop" and says that it is of "office"`},
		{"another authority", newCA(t).identity(t, "shop", "a").ClientCredentials(func(security.ID) error { return nil }), newHost("shop", "a"), "code = Unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ErrorContains(t, connect(t, c.creds, c.host, l).first(t), c.want)
		})
	}
	require.Equal(t, "200 {}", strings.ReplaceAll(get(l.healthz, "/placement/state"), " {} ", " {}"), "nobody was entered")

	ctx, cancel := context.WithCancel(t.Context())
	good := connect(t, creds, newHost("shop", "a", "Cart", "dapr.internal.shop.a.workflow"), replicas...)
	done := make(chan struct{})
	go func() { defer close(done); good.run(ctx) }()
	good.waitFor(t, "Cart", "a:50002")
	good.waitFor(t, "dapr.internal.shop.a.workflow", "a:50002")

	t.Run("only placement takes part in the election", func(t *testing.T) {
		_, peers, _ := strings.Cut(l.args[1], "=")
		address := strings.TrimPrefix(strings.Split(peers, ",")[slices.Index(replicas, l)], l.id+"=")
		for _, p := range []*security.Provider{a, authority.identity(t, "shop", security.Placement)} {
			require.Error(t, handshake(t, address, p), "%s", p.ID())
		}
		require.NoError(t, handshake(t, address, authority.identity(t, "dapr-system", security.Placement)))
	})
	cancel()
	<-done
}

// handshake tells whether a replica talks with the one who connects.
func handshake(t *testing.T, address string, p *security.Provider) error {
	t.Helper()
	conn, err := tls.Dial("tcp", address, security.ClientConfig(p, p.Anchors(), func(security.ID) error { return nil }))
	if err != nil {
		return err
	}
	defer conn.Close()
	// In TLS 1.3 a refusal comes after the client's handshake. Nothing else comes
	// before the client has said something.
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
	_, err = conn.Read(make([]byte, 1))
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	return err
}

// The election follows --initial-cluster when replicas are started with another
// one, one after the other.
func TestMoreAndFewerReplicas(t *testing.T) {
	replicas := cluster(t, 5)
	peers := strings.Split(strings.TrimPrefix(replicas[0].args[1], "--initial-cluster="), ",")
	// A StatefulSet makes the new ones at once. It restarts an old one only when
	// those after it are ready.
	restart := func(n int) {
		initial := "--initial-cluster=" + strings.Join(peers[:n], ",")
		var old []*replica
		for _, r := range replicas[:n] {
			if r.cmd != nil {
				old = append(old, r)
				continue
			}
			r.args[1] = initial
			r.start(t)
		}
		if len(old) > 0 {
			for _, r := range replicas[:n] {
				r.ready(t)
			}
		}
		for _, r := range slices.Backward(old) {
			r.stop(t)
			r.args[1] = initial
			r.start(t)
			r.ready(t)
		}
		for _, r := range replicas[:n] {
			r.ready(t)
		}
	}
	restart(3)
	restart(5)
	l := leader(t, replicas)
	var lost int
	for _, r := range replicas {
		if r != l && lost < 2 { // of three, two could not be lost
			r.kill(t)
			r.cmd = nil
			lost++
		}
	}
	a, _, _ := sidecars(t, replicas)
	a.waitFor(t, "Cart", "a:50002", "b:50002")
	l.kill(t) // but three of five cannot
	eventually(t, "nobody leads", func() bool {
		return !slices.ContainsFunc(replicas, func(r *replica) bool { return r.leads() })
	})
	for _, r := range replicas {
		if r.cmd == nil || r == l {
			r.start(t)
		}
	}
	a.waitFor(t, "Cart", "a:50002", "b:50002")

	for _, r := range replicas[3:] {
		r.stop(t)
	}
	restart(3)
	leader(t, replicas[:3]).kill(t) // two of five would not be enough
	a.waitFor(t, "Cart", "a:50002", "b:50002")
}
