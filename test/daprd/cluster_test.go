package daprd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/kubeapi/kubeapitest"
	"github.com/hyperdapr/dapr/pkg/operator"
	"github.com/hyperdapr/dapr/pkg/sentry"
	"github.com/hyperdapr/dapr/pkg/service"
)

// controlPlane is an authority and an operator, around an API server of the
// test's own.
type controlPlane struct {
	t          *testing.T
	api        *kubeapitest.Server
	kubeconfig string
	sentry     string // its address
	anchors    []byte
}

// podToken is that of a pod, whose service account is default.
func podToken(namespace, pod string) string {
	claims := fmt.Sprintf(`{"kubernetes.io":{"namespace":%q,"pod":{"name":%q}}}`, namespace, pod)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + namespace
}

func startControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	c := &controlPlane{t: t, api: kubeapitest.Start(t), kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	require.NoError(t, os.WriteFile(c.kubeconfig, fmt.Appendf(nil,
		`{"clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`, c.api.Config().Host), 0o600))
	c.api.Answer(http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, known := range []string{podToken("shop", "a-1"), podToken("dapr-system", "operator-1")} {
			if review.Spec.Token == known {
				review.Status = authv1.TokenReviewStatus{Authenticated: true, Audiences: review.Spec.Audiences[:1]}
				review.Status.User.Username = "system:serviceaccount:" + regexp.MustCompile(`[^.]*$`).FindString(known) + ":default"
			}
		}
		_ = json.NewEncoder(w).Encode(review)
	})
	c.pod("dapr-system", "operator-1", "dapr.io/control-plane", "operator")
	c.pod("shop", "a-1", "dapr.io/app-id", "a")

	// Sentry waits for the Configuration, which names sentry's address.
	port := lowPort(t)
	c.sentry = "127.0.0.1:" + port
	c.api.Add("/apis/dapr.io/v1alpha1/namespaces/dapr-system/configurations", map[string]any{
		"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": map[string]any{"name": "daprsystem"},
		"spec": map[string]any{"mtls": map[string]any{"sentryAddress": c.sentry, "controlPlaneTrustDomain": "cluster.local"}},
	})
	c.service(sentry.Main, regexp.MustCompile(`dapr-sentry is listening on .*:(\d+)"`), nil,
		"--mode", "kubernetes", "--trust-domain", "cluster.local", "--port", port, "--listen-address", "127.0.0.1")
	secrets := kubeapi.Of[corev1.Secret](c.api.Client(), "", "v1", "secrets")
	eventually(t, "there is no trust bundle", func() bool {
		secret, err := secrets.Get(t.Context(), "dapr-system", "dapr-trust-bundle")
		if err == nil {
			c.anchors = secret.Data["ca.crt"]
		}
		return err == nil
	})
	return c
}

func (c *controlPlane) pod(namespace, name, annotation, value string) {
	c.t.Helper()
	c.api.Add("/api/v1/namespaces/"+namespace+"/pods", &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{annotation: value}},
		Spec:       corev1.PodSpec{ServiceAccountName: "default"},
	})
}

// component is one of memory.
func (c *controlPlane) component(namespace, name string, scopes ...string) {
	c.t.Helper()
	c.api.Add("/apis/dapr.io/v1alpha1/namespaces/"+namespace+"/components", map[string]any{
		"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": map[string]any{"name": name}, "scopes": scopes,
		"spec": map[string]any{"type": "state.in-memory", "version": "v1", "metadata": []any{}},
	})
}

// running is a service of the control plane.
type running struct {
	port string
	stop func()
}

type mainFunc func(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer) error

// service starts one, and waits until it listens.
func (c *controlPlane) service(main mainFunc, listens *regexp.Regexp, env map[string]string, args ...string) running {
	c.t.Helper()
	var log output
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context())) // ended below, and waited for
	done := make(chan error, 1)
	go func() {
		done <- main(ctx, append(args, "--kubeconfig", c.kubeconfig, "--healthz-port", "0", "--metrics-port", "0"), func(name string) (string, bool) {
			if name == "NAMESPACE" {
				return "dapr-system", true
			}
			v, set := env[name]
			return v, set
		}, &log, &log)
	}()
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(c.t, <-done)
		}
	}
	c.t.Cleanup(func() {
		stop()
		if c.t.Failed() {
			c.t.Log(log.String())
		}
	})
	eventually(c.t, "a service does not listen", func() bool { return listens.MatchString(log.String()) })
	return running{listens.FindStringSubmatch(log.String())[1], stop}
}

// file returns the path of a file with the text.
func (c *controlPlane) file(text string) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "file")
	require.NoError(c.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (c *controlPlane) operator(port string) running {
	c.t.Helper()
	return c.service(operator.Main, regexp.MustCompile(`the operator is listening on .*:(\d+)"`),
		map[string]string{"DAPR_SENTRY_TOKEN_FILE": c.file(podToken("dapr-system", "operator-1")), "ENABLE_WEBHOOKS": "false"},
		"--port", port, "--listen-address", "127.0.0.1", "--trust-anchors-file", c.file(string(c.anchors)))
}

// lowPort is a port that stays free while nobody listens there: systems give
// others higher ones when they ask for any.
func lowPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := 10000 + rand.N(20000)
		if l, err := freeport.Listen("127.0.0.1", port, ""); err == nil {
			require.NoError(t, l.Close())
			return strconv.Itoa(port)
		}
	}
	t.Fatal("no port is free")
	return ""
}

var apiPort = regexp.MustCompile(`HTTP server is running on port (\d+)"`)

// In Kubernetes, the operator's resources are followed: those of the own
// namespace and scope, and also what changes while there is no operator.
func TestResourcesOfAClusterThatChangeAreFollowed(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	port := lowPort(t)
	first := c.operator(port)
	c.component("shop", "mem")
	c.component("bank", "foreign")
	c.component("shop", "theirs", "other")
	s := spawn(t, t.TempDir(), []string{
		"--app-id", "a", "--mode", "kubernetes", "--control-plane-address", "127.0.0.1:" + port, "--sentry-address", c.sentry, "--enable-mtls",
		"--dapr-http-port", "0", "--dapr-grpc-port", "0", "--dapr-internal-grpc-port", "0", "--metrics-port", "0", "--dapr-public-port", "0",
		"--dapr-listen-addresses", "127.0.0.1", "--disable-builtin-k8s-secret-store",
	}, []string{
		"NAMESPACE=shop", "DAPR_TRUST_ANCHORS=" + string(c.anchors), "DAPR_SENTRY_TOKEN_FILE=" + c.file(podToken("shop", "a-1")),
		"DAPR_CONTROLPLANE_NAMESPACE=dapr-system", "DAPR_CONTROLPLANE_TRUST_DOMAIN=cluster.local",
	})
	s.waitLog("HTTP server is running on port")
	base := "http://127.0.0.1:" + apiPort.FindStringSubmatch(s.log.String())[1]
	answers := func(store string, code int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s does not answer with %d", store, code), func() bool {
			res, err := http.Get(base + "/v1.0/state/" + store + "/k")
			if err != nil {
				return false
			}
			require.NoError(t, res.Body.Close())
			return res.StatusCode == code
		})
	}
	answers("mem", http.StatusNoContent)
	answers("foreign", http.StatusBadRequest)
	answers("theirs", http.StatusBadRequest)

	c.component("shop", "more")
	answers("more", http.StatusNoContent)
	components := kubeapi.Of[json.RawMessage](c.api.Client(), "dapr.io", "v1alpha1", "components")
	require.NoError(t, components.Delete(t.Context(), "shop", "more"))
	answers("more", http.StatusBadRequest)

	first.stop()
	c.component("shop", "meanwhile")
	answers("mem", http.StatusNoContent)
	c.operator(port)
	answers("meanwhile", http.StatusNoContent)
	require.True(t, s.running())
}
