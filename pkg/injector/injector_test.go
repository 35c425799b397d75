package injector

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/service"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

const patience = 20 * time.Second

// apiServer is the part of Kubernetes that the injector talks to.
type apiServer struct {
	*httptest.Server

	mu         sync.Mutex
	caBundle   []byte
	generation int
	patches    int
	version    string
	mtls       string // the Configuration; empty: there is none
	components string
	refuses    bool // the patch
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	a := &apiServer{version: `{"major":"1","minor":"33+"}`, components: `{"items":[]}`}
	mux := http.NewServeMux()
	mux.HandleFunc("PATCH /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/dapr-sidecar-injector", a.patch)
	mux.HandleFunc("GET /version", a.answer(&a.version))
	mux.HandleFunc("GET /apis/dapr.io/v1alpha1/namespaces/dapr-system/configurations/daprsystem", a.answer(&a.mtls))
	mux.HandleFunc("GET /apis/dapr.io/v1alpha1/namespaces/shop/components", a.answer(&a.components))
	a.Server = httptest.NewTLSServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *apiServer) patch(w http.ResponseWriter, r *http.Request) {
	var patch struct {
		Webhooks []struct {
			Name         string
			ClientConfig struct{ CABundle []byte }
		}
	}
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.patches++
	switch {
	case a.refuses:
		status(w, http.StatusForbidden, "Forbidden", "it cannot patch")
	case r.Header.Get("Content-Type") != "application/strategic-merge-patch+json" || json.Unmarshal(body, &patch) != nil ||
		len(patch.Webhooks) != 1 || patch.Webhooks[0].Name != "sidecar-injector.dapr.io":
		status(w, http.StatusBadRequest, "BadRequest", "what is this?")
	default:
		if !bytes.Equal(a.caBundle, patch.Webhooks[0].ClientConfig.CABundle) {
			a.caBundle = patch.Webhooks[0].ClientConfig.CABundle
			a.generation++
		}
		fmt.Fprintf(w, `{"metadata":{"generation":%d}}`, a.generation+1)
	}
}

func (a *apiServer) answer(text *string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if *text == "" {
			status(w, http.StatusNotFound, "NotFound", "there is none")
			return
		}
		_, _ = io.WriteString(w, *text)
	}
}

func (a *apiServer) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *apiServer) bundle() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.caBundle
}

func status(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"reason":%q,"code":%d}`, message, reason, code)
}

// kubeconfig is the way to the server.
func (a *apiServer) kubeconfig(t *testing.T) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: a.URL, CertificateAuthorityData: ca}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: "token"}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, file))
	return file
}

// ca is a certificate authority that gives everybody what the injector should
// get.
type ca struct {
	sentryv1.UnimplementedCAServer
	authority *authority.Authority
	address   string
}

func newCA(t *testing.T) *ca {
	t.Helper()
	sentry := security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Sentry}
	bundle, err := authority.New(authority.Options{ID: sentry, Now: time.Now(), ClockSkew: time.Minute})
	require.NoError(t, err)
	a, err := authority.Parse(bundle, time.Now())
	require.NoError(t, err)
	c := &ca{authority: a}

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
		ID:       security.ID{TrustDomain: "cluster.local", Namespace: r.GetNamespace(), AppID: r.GetId()},
		Public:   csr.PublicKey,
		DNSNames: []string{"dapr-sidecar-injector." + r.GetNamespace() + ".svc"},
		Now:      time.Now(), ClockSkew: time.Minute, TTL: time.Hour,
	})
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, cert := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return &sentryv1.SignCertificateResponse{
		WorkloadCertificate: text, TrustChainCertificates: [][]byte{c.authority.Bundle().Anchors},
	}, nil
}

// running is an injector.
type running struct {
	port, healthz, metrics int
	out                    *output
	stop                   context.CancelFunc
	done                   chan error
}

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

func start(t *testing.T, a *apiServer, c *ca, env map[string]string) *running {
	t.Helper()
	dir := t.TempDir()
	anchors, token := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(anchors, c.authority.Bundle().Anchors, 0o600))
	require.NoError(t, os.WriteFile(token, []byte("token"), 0o600))
	all := map[string]string{
		"DAPR_SENTRY_ADDRESS": c.address, "DAPR_TRUST_ANCHORS_FILE": anchors, "DAPR_SENTRY_TOKEN_FILE": token,
	}
	for k, v := range env {
		all[k] = v
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{port: free(t), healthz: free(t), metrics: free(t), out: &output{}, stop: cancel, done: make(chan error, 1)}
	args := []string{
		"--kubeconfig", a.kubeconfig(t), "--listen-address=127.0.0.1", "--healthz-listen-address=127.0.0.1", "--metrics-listen-address=127.0.0.1",
		fmt.Sprintf("--port=%d", r.port), fmt.Sprintf("--healthz-port=%d", r.healthz), fmt.Sprintf("--metrics-port=%d", r.metrics),
	}
	go func() { r.done <- Main(ctx, args, environment(all), r.out, r.out) }()
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Log(r.out.String())
		}
	})
	return r
}

func free(t *testing.T) int {
	t.Helper()
	l, err := freeport.Listen("127.0.0.1", 0, "")
	require.NoError(t, err)
	defer l.Close()
	return freeport.Port(l)
}

func (r *running) health() string {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", r.healthz)) //nolint:noctx // a test
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(text)))
}

func (r *running) eventually(t *testing.T, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(r.health(), want) }, patience, 20*time.Millisecond, "the health never was %q", want)
}

// client trusts what the webhook configuration says, like the API server.
func client(a *apiServer) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.bundle())
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: "dapr-sidecar-injector.dapr-system.svc", MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}}
}

func TestTheServiceFromEndToEnd(t *testing.T) {
	a, c := newAPIServer(t), newCA(t)
	a.components = `{"items":[{"metadata":{"name":"cache","annotations":{"dapr.io/component-container":"{\"image\":\"cache:1\"}"}},"scopes":["orders"]},{"metadata":{"name":"plain"}}]}`
	r := start(t, a, c, map[string]string{"NATIVE_SIDECAR_ENABLED": "true"})
	r.eventually(t, "200 ok")
	require.Equal(t, c.authority.Bundle().Anchors, a.bundle())

	pod := podJSON(t, map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "orders", "dapr.io/inject-pluggable-components": "true"})
	url := fmt.Sprintf("https://127.0.0.1:%d/mutate", r.port)
	answer := ask(t, client(a), url, question(t, controller, pod))
	got := patched(t, pod, answer.Response.Patch)
	require.Len(t, got.Spec.Containers, 2)
	require.Equal(t, "cache", got.Spec.Containers[1].Name)
	require.Len(t, got.Spec.InitContainers, 1, "the cluster has native sidecars")
	sidecar := got.Spec.InitContainers[0]
	require.Equal(t, corev1.ContainerRestartPolicyAlways, *sidecar.RestartPolicy)
	require.Contains(t, sidecar.Args, "--enable-mtls")
	require.Contains(t, sidecar.Env, corev1.EnvVar{Name: "DAPR_TRUST_ANCHORS", Value: string(c.authority.Bundle().Anchors)})

	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", r.metrics)) //nolint:noctx // a test
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(text), `dapr_injector_sidecar_injection_succeeded_total{app_id="orders"} 1`)

	// It still answers for a while when it is asked to end.
	r.stop()
	r.eventually(t, "stopping")
	require.True(t, ask(t, client(a), url, question(t, controller, pod)).Response.Allowed)
	select {
	case err := <-r.done:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	require.NotContains(t, r.out.String(), "level=error")
}

func TestNotReadyWithoutRights(t *testing.T) {
	a, c := newAPIServer(t), newCA(t)
	a.refuses = true
	r := start(t, a, c, nil)
	r.eventually(t, "webhook configuration: it cannot patch")
	require.Contains(t, r.out.String(), `msg="webhook configuration dapr-sidecar-injector: it cannot patch; trying on"`)
	a.set(func() { a.refuses = false })
	r.eventually(t, "200 ok")
}

func TestNotReadyWithoutCertificate(t *testing.T) {
	a, c := newAPIServer(t), newCA(t)
	r := start(t, a, c, map[string]string{"DAPR_SENTRY_ADDRESS": "127.0.0.1:1"})
	r.eventually(t, "certificate: the certificate authority has not answered yet")
}

// staticAnchors never change.
type staticAnchors []byte

func (a staticAnchors) PEM() []byte            { return a }
func (staticAnchors) Changed() <-chan struct{} { return nil }

func newTestKeeper(t *testing.T, a *apiServer) (*keeper, *output) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", a.kubeconfig(t))
	require.NoError(t, err)
	cluster, err := newCluster(config, "dapr-system")
	require.NoError(t, err)
	var out output
	p := &service.Process{Log: telemetry.NewLogger(&out, telemetry.LogOptions{}), Health: &service.Health{}}
	k := newKeeper(p, cluster, staticAnchors("anchors"), inject.Defaults("daprd:1", "dapr-system"))
	k.every = 10 * time.Millisecond
	return k, &out
}

func TestTheWebhookConfigurationIsRepaired(t *testing.T) {
	a := newAPIServer(t)
	k, out := newTestKeeper(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.run(ctx) }()
	holds := func() bool { return string(a.bundle()) == "anchors" }
	require.Eventually(t, holds, patience, time.Millisecond)
	// Somebody applies the chart again.
	a.set(func() { a.caBundle, a.generation = nil, a.generation+1 })
	require.Eventually(t, holds, patience, time.Millisecond)
	require.Eventually(t, func() bool {
		return strings.Contains(out.String(), "was changed, and has the certificate authority of this injector again")
	}, patience, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestAnAbsentAPIServerSaysNothingAboutTheWebhook(t *testing.T) {
	a := newAPIServer(t)
	k, _ := newTestKeeper(t, a)
	require.True(t, k.setCABundle(t.Context()))
	require.Empty(t, k.health.Missing())
	a.CloseClientConnections()
	a.Close()
	require.True(t, k.setCABundle(t.Context()))
	require.Empty(t, k.health.Missing())
}

func TestADeletedWebhookConfigurationIsNotReady(t *testing.T) {
	a := newAPIServer(t)
	k, _ := newTestKeeper(t, a)
	require.True(t, k.setCABundle(t.Context()))
	a.set(func() { a.refuses = true })
	require.False(t, k.setCABundle(t.Context()))
	require.Equal(t, []string{"webhook configuration: it cannot patch"}, k.health.Missing())
}

func TestWhatTheClusterSays(t *testing.T) {
	a := newAPIServer(t)
	a.version = `{"major":"1","minor":"28"}`
	k, out := newTestKeeper(t, a)
	k.learn(t.Context())
	require.True(t, k.Settings().MTLS, "there is no Configuration")
	require.True(t, k.Settings().ClusterLacksNativeSidecars)
	require.Equal(t, "anchors", k.Settings().TrustAnchors)

	a.set(func() { a.mtls = `{"spec":{"mtls":{"enabled":false}}}` })
	k.learn(t.Context())
	require.False(t, k.Settings().MTLS)

	// What cannot be read changes nothing, and is said once.
	a.set(func() { a.mtls = `{"spec":[]}` })
	k.learn(t.Context())
	k.learn(t.Context())
	require.False(t, k.Settings().MTLS)
	require.Equal(t, 1, strings.Count(out.String(), "Configuration daprsystem: "))

	a.set(func() { a.mtls = `{"spec":{"mtls":{"enabled":true}}}` })
	k.learn(t.Context())
	require.True(t, k.Settings().MTLS)
}

func TestMainRefuses(t *testing.T) {
	var out output
	err := Main(t.Context(), []string{"--healthz-port=0", "--metrics-port=0"}, func(string) (string, bool) { return "", false }, &out, &out)
	require.Equal(t, 2, service.ExitCode(err))
	require.Contains(t, out.String(), "injector: environment variable SIDECAR_IMAGE is missing: the chart sets it")

	err = Main(t.Context(), []string{"--healthz-port=0", "--metrics-port=0", "--kubeconfig=/none"}, environment(nil), &out, &out)
	require.Equal(t, 2, service.ExitCode(err))
	require.ErrorContains(t, err, `--kubeconfig "/none"`)
}
