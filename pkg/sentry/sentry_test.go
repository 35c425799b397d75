package sentry

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/service"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

const patience = 20 * time.Second

// output is what a service has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// running is a certificate authority that was started by its command line.
type running struct {
	t      *testing.T
	out    *output
	ended  chan error
	cancel context.CancelFunc
}

// start runs the service on free ports.
func start(t *testing.T, env map[string]string, connect connector, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, out: &output{}, ended: make(chan error, 1), cancel: cancel}
	args = append([]string{
		"--port=0", "--listen-address=127.0.0.1", "--healthz-port=0", "--healthz-listen-address=127.0.0.1",
		"--metrics-port=0", "--metrics-listen-address=127.0.0.1", "--oidc-server-listen-port=0", "--oidc-server-listen-address=127.0.0.1",
	}, args...)
	go func() { r.ended <- run(ctx, args, lookup(env), r.out, r.out, connect) }()
	t.Cleanup(func() { require.NoError(t, r.stop()) })
	return r
}

// standalone runs the service as on one machine, with its files in dir.
func standalone(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	return start(t, nil, nil, append([]string{"--issuer-credentials", dir}, args...)...)
}

func (r *running) stop() error {
	r.cancel()
	err := <-r.ended
	r.ended <- err
	return err
}

// find waits for a log line and returns what the pattern's group matches.
func (r *running) find(pattern string) string {
	r.t.Helper()
	var found string
	require.Eventually(r.t, func() bool {
		select {
		case err := <-r.ended:
			r.ended <- err
			require.NoError(r.t, err, r.out.String())
		default:
		}
		m := regexp.MustCompile(pattern).FindStringSubmatch(r.out.String())
		if m != nil {
			found = m[1]
		}
		return m != nil
	}, patience, 5*time.Millisecond, "no line like %s", pattern)
	return found
}

func (r *running) address() string { return r.find(`dapr-sentry is listening on ([\d.:]+)`) }

func (r *running) get(pattern, path string) (int, string) {
	r.t.Helper()
	res, err := http.Get("http://" + r.find(pattern) + path)
	require.NoError(r.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, string(body)
}

func (r *running) metrics() string {
	_, text := r.get(`metrics server started on ([\d.:]+)/`, "/")
	return text
}

func (r *running) ready() {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		code, _ := r.get(`healthz server is listening on ([\d.:]+)`, "/healthz")
		return code == http.StatusOK
	}, patience, 5*time.Millisecond)
}

func lookup(env map[string]string) service.LookupEnv {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return data
}

var self = security.ID{TrustDomain: "localhost", Namespace: "default", AppID: security.Sentry}

func appID(name string) security.ID {
	return security.ID{TrustDomain: security.DefaultTrustDomain, Namespace: "default", AppID: name}
}

// identity gets a certificate for the id and keeps it fresh.
func identity(t *testing.T, address string, id security.ID, anchors *security.Anchors, change func(*security.Options)) *security.Provider {
	t.Helper()
	o := security.Options{ID: id, Sentry: self, SentryAddress: address, Anchors: anchors, Log: telemetry.Discard()}
	if change != nil {
		change(&o)
	}
	p, err := security.NewProvider(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	select {
	case <-p.Ready():
	case <-time.After(patience):
		require.Fail(t, "no certificate")
	}
	return p
}

func anchorsOf(t *testing.T, dir string) *security.Anchors {
	t.Helper()
	a, err := security.NewAnchors(read(t, dir, authority.AnchorsKey))
	require.NoError(t, err)
	return a
}

// serve runs a gRPC server that answers health checks with the caller's id.
func serve(t *testing.T, p *security.Provider) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(grpc.Creds(p.ServerCredentials()), grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			id, ok := security.PeerID(ctx)
			if !ok || !strings.HasPrefix(id.AppID, "caller") {
				return nil, status.Errorf(codes.PermissionDenied, "called by %v", id)
			}
			return next(ctx, req)
		}))
	healthv1.RegisterHealthServer(s, health.NewServer())
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// call makes one call on a connection of its own.
func call(t *testing.T, address string, creds credentials.TransportCredentials) error {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	return err
}

func TestCertificatesOnOneMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	r := standalone(t, dir)
	address := r.address()
	r.ready()

	caller := identity(t, address, appID("caller"), anchorsOf(t, dir), nil)
	server := identity(t, address, appID("server"), anchorsOf(t, dir), nil)
	require.Equal(t, appID("caller"), caller.ID())
	at := serve(t, server)

	require.NoError(t, call(t, at, caller.ClientCredentials(security.App("default", "server"))))
	require.NoError(t, call(t, at, caller.ClientCredentials(security.Exactly(appID("server")))))

	other := appID("server")
	other.TrustDomain = "elsewhere"
	for name, expect := range map[string]security.Expect{
		"another app":       security.App("default", "other"),
		"another namespace": security.App("prod", "server"),
		"another domain":    security.Exactly(other),
	} {
		err := call(t, at, caller.ClientCredentials(expect))
		require.Equal(t, codes.Unavailable, status.Code(err), name)
		require.ErrorContains(t, err, "the server is spiffe://public/ns/default/server, not", name)
	}
	require.Equal(t, codes.PermissionDenied, status.Code(call(t, at, server.ClientCredentials(security.App("default", "server")))), "the server sees who calls")
	require.Error(t, call(t, at, insecure.NewCredentials()), "plain text is refused")

	// Somebody with certificates of another authority is refused by both sides.
	elsewhere := filepath.Join(t.TempDir(), "certs")
	foreign := standalone(t, elsewhere)
	stranger := identity(t, foreign.address(), appID("caller"), anchorsOf(t, elsewhere), nil)
	require.ErrorContains(t, call(t, at, stranger.ClientCredentials(security.App("default", "server"))), "certificate signed by unknown authority")
	strangerAt := serve(t, identity(t, foreign.address(), appID("server"), anchorsOf(t, elsewhere), nil))
	require.ErrorContains(t, call(t, strangerAt, caller.ClientCredentials(security.App("default", "server"))), "certificate signed by unknown authority")

	require.Contains(t, r.metrics(), "dapr_sentry_cert_sign_success_total 2")
	require.Contains(t, r.metrics(), "dapr_sentry_issuercert_expiry_timestamp 1.")
	info, err := os.Stat(filepath.Join(dir, authority.SecretKey))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAnImpostorIsNotAskedForCertificates(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	standalone(t, dir).ready()
	impostor := standalone(t, elsewhere)
	p, err := security.NewProvider(security.Options{
		ID: appID("caller"), Sentry: self, SentryAddress: impostor.address(), Anchors: anchorsOf(t, dir), Log: telemetry.Discard(),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.NoError(t, p.Run(ctx), "it tries on until the end")
	require.NotContains(t, impostor.metrics(), "dapr_sentry_cert_sign_request_received_total 1")
	select {
	case <-p.Ready():
		require.Fail(t, "a certificate of an impostor")
	default:
	}
}

// Certificates of two seconds are renewed, and the root is replaced, while calls
// go on, each on a connection of its own and many on one: none fails.
func TestRenewalAndRotationUnderLoad(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: daprsystem}
spec:
  mtls: {workloadCertTTL: 2s, allowedClockSkew: 1m}
`), 0o600))
	r := standalone(t, dir, "--config", config)
	address := r.address()
	before := read(t, dir, authority.AnchorsKey)

	renewed := make(chan error, 1000)
	// One knows the root from its environment, as sidecars do, the other from a
	// file, as the control plane does.
	caller := identity(t, address, appID("caller"), anchorsOf(t, dir), func(o *security.Options) { o.Renewed = func(err error) { renewed <- err } })
	file := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(file, before, 0o600))
	server := identity(t, address, appID("server"), security.AnchorsFromFile(file), nil)
	at := serve(t, server)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	kept, err := grpc.NewClient(at, grpc.WithTransportCredentials(caller.ClientCredentials(security.App("default", "server"))))
	require.NoError(t, err)
	defer kept.Close()
	var fresh, long int
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := call(t, at, caller.ClientCredentials(security.App("default", "server"))); err != nil {
				t.Errorf("call on a new connection: %v", err)
				return
			}
			fresh++
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := healthv1.NewHealthClient(kept).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
				t.Errorf("call on an old connection: %v", err)
				return
			}
			long++
		}
	})
	wait := func(n int) {
		for range n {
			select {
			case err := <-renewed:
				require.NoError(t, err)
			case <-time.After(patience):
				require.FailNow(t, "no renewal")
			}
		}
	}
	wait(3)

	bundle := authority.Bundle{Anchors: before, Issuer: read(t, dir, authority.IssuerKey), Key: read(t, dir, authority.SecretKey)}
	next, err := authority.Rotate(bundle, authority.Options{ID: self, Now: time.Now()})
	require.NoError(t, err)
	require.NoError(t, fileStore{dir, testNames}.write(material{Bundle: next}))
	require.Eventually(t, func() bool {
		return strings.Contains(r.metrics(), "dapr_sentry_issuercert_changed_total 1")
	}, patience, 20*time.Millisecond)
	wait(3)
	require.Len(t, caller.Anchors().Certificates(), 2, "it has learned the new root")

	// The old root goes: everybody has certificates of the new one by now.
	last, err := authority.Prune(next, time.Now())
	require.NoError(t, err)
	require.NoError(t, fileStore{dir, testNames}.write(material{Bundle: last}))
	require.Eventually(t, func() bool { return len(caller.Anchors().Certificates()) == 1 }, patience, 20*time.Millisecond)
	wait(2)

	cancel()
	wg.Wait()
	// On a busy machine a new connection takes a while: there must have been some
	// in each of the eight terms of certificates.
	require.Greater(t, fresh, 16)
	require.Greater(t, long, 16)
	require.NotEqual(t, string(before), string(caller.Anchors().PEM()))
}

var testNames = names{anchors: "ca.crt", issuer: "issuer.crt", key: "issuer.key", jwtKey: "jwt.key", jwks: "jwks.json"}

func TestARestartKeepsTheRoot(t *testing.T) {
	dir := t.TempDir()
	r := standalone(t, dir)
	r.ready()
	before := read(t, dir, authority.AnchorsKey)
	require.NoError(t, r.stop())
	standalone(t, dir).ready()
	require.Equal(t, before, read(t, dir, authority.AnchorsKey))
}

func TestTwoProcessesShareOneFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	first, second := standalone(t, dir), standalone(t, dir)
	first.ready()
	second.ready()
	identity(t, first.address(), appID("caller"), anchorsOf(t, dir), nil)
	identity(t, second.address(), appID("caller"), anchorsOf(t, dir), nil)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3, "no lock is left behind")
}

func TestStartsThatFail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	partial := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(partial, "ca.crt"), []byte("x"), 0o600))
	config := func(text string) string {
		path := filepath.Join(t.TempDir(), "c.yaml")
		require.NoError(t, os.WriteFile(path, []byte("apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\nspec:\n  mtls: "+text+"\n"), 0o600))
		return path
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		err  string
	}{
		{"mode", []string{"--mode=docker"}, 2, `--mode "docker" is not known: use standalone or kubernetes`},
		{"trust domain", []string{"--trust-domain=A B"}, 2, `--trust-domain: trust domain "A B": use lower-case letters`},
		{"file name", []string{"--issuer-key-filename=a/b"}, 2, `--issuer-key-filename "a/b" must be the name of a file`},
		{"algorithm", []string{"--jwt-enabled", "--jwt-signing-algorithm=RS265"}, 2, `--jwt-signing-algorithm "RS265" is not known; did you mean RS256?`},
		{"jwt lifetime", []string{"--jwt-enabled", "--jwt-ttl=0s"}, 2, `--jwt-ttl 0s must be above zero`},
		{"oidc without jwt", []string{"--oidc-enabled"}, 2, `it needs --jwt-enabled`},
		{"one file of two", []string{"--jwt-enabled", "--oidc-enabled", "--oidc-server-tls-cert-file=x"}, 2, `give both or none`},
		{"no configuration", []string{"--config", file + "x"}, 1, `--config: read configuration: open ` + file + "x"},
		{"lifetime", []string{"--config", config("{workloadCertTTL: -1s}")}, 1, `spec.mtls.workloadCertTTL -1s must be above zero`},
		{"validator", []string{"--config", config("{tokenValidators: [{name: oauth}]}")}, 1, `spec.mtls.tokenValidators: "oauth" is not known: use jwks or kubernetes`},
		{"keys without a source", []string{"--config", config("{tokenValidators: [{name: jwks}]}")}, 1, `token validator jwks: option source is missing`},
		{"keys with a typo", []string{"--config", config("{tokenValidators: [{name: jwks, options: {sorce: x}}]}")}, 1, `token validator jwks: unknown option "sorce"; did you mean source?`},
		{"keys that are none", []string{"--config", config("{tokenValidators: [{name: jwks, options: {source: x}}]}"), "--issuer-credentials", t.TempDir()}, 1, `token validator jwks: `},
		{"folder that is a file", []string{"--issuer-credentials", filepath.Join(file, "certs")}, 1, `--issuer-credentials`},
		{"half of a bundle", []string{"--issuer-credentials", partial}, 1, `folder ` + partial + `: issuer.crt is missing, but other parts are there`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out output
			args := append([]string{"--port=0", "--healthz-port=0", "--metrics-port=0", "--healthz-listen-address=127.0.0.1", "--metrics-listen-address=127.0.0.1"}, c.args...)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := run(ctx, args, lookup(nil), &out, &out, nil)
			require.ErrorContains(t, err, c.err)
			require.Equal(t, c.code, service.ExitCode(err))
			require.Contains(t, out.String(), strings.ReplaceAll(err.Error(), `"`, out.quote()))
		})
	}
}

// quote is how the output shows a quotation mark: usage errors are plain, log
// lines escape it.
func (o *output) quote() string {
	if strings.Contains(o.String(), "level=fatal") {
		return `\"`
	}
	return `"`
}

func TestRequestsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	r := standalone(t, dir)
	conn, err := grpc.NewClient(r.address(), grpc.WithTransportCredentials(credentials.NewTLS(anonymous(t, dir))))
	require.NoError(t, err)
	defer conn.Close()
	ca := sentryv1.NewCAClient(conn)
	good := csr(t)
	for _, c := range []struct {
		name string
		req  *sentryv1.SignCertificateRequest
		code codes.Code
		err  string
	}{
		{"no CSR", &sentryv1.SignCertificateRequest{Id: "a", Namespace: "n"}, codes.InvalidArgument, "it is not PEM"},
		{"a CSR that is none", &sentryv1.SignCertificateRequest{Id: "a", Namespace: "n", CertificateSigningRequest: []byte("-----BEGIN X-----\nAAAA\n-----END X-----\n")}, codes.InvalidArgument, "certificate_signing_request"},
		{"a validator that is not in use", &sentryv1.SignCertificateRequest{Id: "a", Namespace: "n", CertificateSigningRequest: good, TokenValidator: sentryv1.SignCertificateRequest_KUBERNETES}, codes.InvalidArgument, "token_validator KUBERNETES is not in use here: use INSECURE"},
		{"no id", &sentryv1.SignCertificateRequest{Namespace: "n", CertificateSigningRequest: good}, codes.PermissionDenied, "the app id is missing"},
		{"an id that climbs", &sentryv1.SignCertificateRequest{Id: "..", Namespace: "n", CertificateSigningRequest: good}, codes.PermissionDenied, `app id ".."`},
		{"an id with a slash", &sentryv1.SignCertificateRequest{Id: "a/b", Namespace: "n", CertificateSigningRequest: good}, codes.PermissionDenied, `app id "a/b"`},
	} {
		_, err := ca.SignCertificate(t.Context(), c.req)
		require.Equal(t, c.code, status.Code(err), c.name)
		require.ErrorContains(t, err, c.err, c.name)
	}
	require.Contains(t, r.metrics(), `dapr_sentry_cert_sign_failure_total{reason="req_id_validation"} 3`)
	require.Contains(t, r.metrics(), "dapr_sentry_cert_sign_request_received_total 6")
}
