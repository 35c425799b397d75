package sentry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hyperdapr/dapr/pkg/kubeapi/kubeapitest"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

const controlPlane = "dapr-system"

var clusterSelf = security.ID{TrustDomain: "cluster.local", Namespace: controlPlane, AppID: security.Sentry}

// fakeCluster is a cluster with an API server of the test's own.
type fakeCluster struct {
	*cluster
	api *kubeapitest.Server
}

func startCluster(t *testing.T, objects ...any) *fakeCluster {
	t.Helper()
	api := kubeapitest.Start(t)
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Secret:
			api.Add("/api/v1/namespaces/"+o.Namespace+"/secrets", o)
		case *corev1.ConfigMap:
			api.Add("/api/v1/namespaces/"+o.Namespace+"/configmaps", o)
		case *corev1.Pod:
			api.Add("/api/v1/namespaces/"+o.Namespace+"/pods", o)
		case *unstructured.Unstructured:
			api.Add("/apis/dapr.io/v1alpha1/namespaces/"+o.GetNamespace()+"/configurations", o)
		default:
			require.Fail(t, "an object of an unknown kind", "%T", o)
		}
	}
	api.Add("/apis/dapr.io/v1alpha1/namespaces/"+controlPlane+"/configurations", ownConfiguration(map[string]any{}))
	c, err := newCluster(api.Config())
	require.NoError(t, err)
	return &fakeCluster{c, api}
}

const tokenReviews = "/apis/authentication.k8s.io/v1/tokenreviews"

// reviews has the cluster know the tokens.
func (c *fakeCluster) reviews(tokens map[string]authv1.TokenReviewStatus) {
	c.api.Answer(http.MethodPost, tokenReviews, func(w http.ResponseWriter, r *http.Request) {
		var review authv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Status = tokens[review.Spec.Token]
		_ = json.NewEncoder(w).Encode(review)
	})
}

func (c *fakeCluster) connect(string, bool) (*cluster, error) { return c.cluster, nil }

func (c *fakeCluster) start(t *testing.T, args ...string) *running {
	t.Helper()
	return start(t, map[string]string{"NAMESPACE": controlPlane}, c.connect,
		append([]string{"--mode=kubernetes", "--trust-domain=cluster.local"}, args...)...)
}

func (c *fakeCluster) bundle(t *testing.T) (authority.Bundle, *corev1.ConfigMap) {
	t.Helper()
	secret, err := c.secrets.Get(t.Context(), controlPlane, bundleName)
	require.NoError(t, err)
	public, err := c.configMaps.Get(t.Context(), controlPlane, bundleName)
	require.NoError(t, err)
	return authority.Bundle{Anchors: secret.Data["ca.crt"], Issuer: secret.Data["issuer.crt"], Key: secret.Data["issuer.key"]}, public
}

func inControlPlane() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: bundleName, Namespace: controlPlane}
}

// emptyBundle is what the chart makes before the certificate authority starts.
func emptyBundle() []any {
	return []any{&corev1.Secret{ObjectMeta: inControlPlane()}, &corev1.ConfigMap{ObjectMeta: inControlPlane()}}
}

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	for name, objects := range map[string][]any{"made by the chart": emptyBundle(), "missing": nil} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				c := startCluster(t, objects...)
				const replicas = 4
				loaded := make([]material, replicas)
				var wg sync.WaitGroup
				for i := range replicas {
					wg.Go(func() {
						s := secretStore{c.secrets, c.configMaps, controlPlane, testNames}
						var err error
						loaded[i], err = s.load(t.Context(), maker{
							options: authority.Options{ID: clusterSelf}, now: time.Now, jwt: &jwtOptions{algorithm: "ES256", names: testNames},
						}.complete)
						if err != nil {
							t.Errorf("replica %d: %v", i, err)
						}
					})
				}
				wg.Wait()
				kept, public := c.bundle(t)
				for _, m := range loaded {
					require.True(t, kept.Equal(m.Bundle))
					require.Equal(t, loaded[0], m)
				}
				require.Equal(t, map[string]string{"ca.crt": string(kept.Anchors), "jwks.json": string(loaded[0].JWKS)}, public.Data)
			}
		})
	}
}

func TestTheSecretDecides(t *testing.T) {
	b, err := authority.New(authority.Options{ID: clusterSelf, Now: time.Now()})
	require.NoError(t, err)
	c := startCluster(t,
		&corev1.Secret{ObjectMeta: inControlPlane(), Data: map[string][]byte{"ca.crt": b.Anchors, "issuer.crt": b.Issuer, "issuer.key": b.Key}},
		&corev1.ConfigMap{ObjectMeta: inControlPlane(), Data: map[string]string{"ca.crt": "something else", "mine": "kept"}},
	)
	c.start(t).ready()
	kept, public := c.bundle(t)
	require.True(t, kept.Equal(b), "a bundle that is there is never replaced")
	require.Equal(t, map[string]string{"ca.crt": string(b.Anchors), "mine": "kept"}, public.Data)
}

func TestABundleThatCannotBeUsedIsSaidAndKept(t *testing.T) {
	c := startCluster(t, &corev1.Secret{ObjectMeta: inControlPlane(), Data: map[string][]byte{"ca.crt": []byte("mine")}})
	r := c.start(t)
	address := r.address()
	require.Eventually(t, func() bool {
		code, text := r.get(`healthz server is listening on ([\d.:]+)`, "/healthz")
		return code == http.StatusInternalServerError &&
			text == "not ready: trust bundle: Secret dapr-trust-bundle: issuer.crt is missing, but other parts are there: add it, or remove all parts to have new ones made\n"
	}, patience, 10*time.Millisecond)
	require.NotEmpty(t, address)
	secret, err := c.secrets.Get(t.Context(), controlPlane, bundleName)
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"ca.crt": []byte("mine")}, secret.Data)
}

func TestMissingRightsAreNamed(t *testing.T) {
	c := startCluster(t, emptyBundle()...)
	c.api.Answer(http.MethodPut, "/api/v1/namespaces/dapr-system/secrets/dapr-trust-bundle",
		kubeapitest.Refuse(http.StatusForbidden, metav1.StatusReasonForbidden, "no"))
	r := c.start(t)
	r.address()
	require.Eventually(t, func() bool {
		_, text := r.get(`healthz server is listening on ([\d.:]+)`, "/healthz")
		return len(text) > 60
	}, patience, 10*time.Millisecond)
	_, text := r.get(`healthz server is listening on ([\d.:]+)`, "/healthz")
	require.Contains(t, text, "write Secret dapr-trust-bundle: ")
	require.Contains(t, text, "the chart's role for it gives it")
}

// token is one that is bound to a pod.
func token(pod, uid, account string) string {
	claims := fmt.Sprintf(`{"kubernetes.io":{"pod":{"name":%q,"uid":%q}}}`, pod, uid)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + account
}

func known(account string, audiences ...string) authv1.TokenReviewStatus {
	return authv1.TokenReviewStatus{Authenticated: true, Audiences: audiences, User: authv1.UserInfo{Username: account}}
}

func pod(namespace, name, account string, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name + "-uid"), Annotations: annotations},
		Spec:       corev1.PodSpec{ServiceAccountName: account},
	}
}

func configuration(namespace, name, trustDomain string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": map[string]any{"namespace": namespace, "name": name},
		"spec": map[string]any{"accessControl": map[string]any{"trustDomain": trustDomain}, "unheardOf": true},
	}}
}

// ownConfiguration is that of the control plane.
func ownConfiguration(mtls map[string]any) *unstructured.Unstructured {
	c := configuration(controlPlane, "daprsystem", "")
	c.Object["spec"] = map[string]any{"mtls": mtls}
	return c
}

// Helm creates the Configuration after the Deployment.
func TestTheConfigurationMayComeLater(t *testing.T) {
	c := startCluster(t)
	require.NoError(t, c.configurations.Delete(t.Context(), controlPlane, "daprsystem"))
	config := ownConfiguration(map[string]any{"workloadCertTTL": "7m"})
	const path = "/apis/dapr.io/v1alpha1/namespaces/" + controlPlane + "/configurations"
	looks := 0
	c.api.Answer(http.MethodGet, path+"/daprsystem", func(w http.ResponseWriter, _ *http.Request) {
		looks++
		w.Header().Set("Content-Type", "application/json")
		var answer any = config.Object
		if looks < 3 {
			w.WriteHeader(http.StatusNotFound)
			answer = apierrors.NewNotFound(schema.GroupResource{Group: "dapr.io", Resource: "configurations"}, "daprsystem").Status()
		}
		_ = json.NewEncoder(w).Encode(answer) // a client that left
	})
	read := settingsFromCluster(c.cluster, controlPlane, "daprsystem")
	s, err := read(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7*time.Minute, s.ttl)
	require.Equal(t, 3, looks)

	c.api.Answer(http.MethodGet, path+"/daprsystem", nil)
	s, err = read(t.Context())
	require.NoError(t, err, "one that is deleted is not waited for")
	require.Equal(t, 24*time.Hour, s.ttl)
}

func TestPodsAreWhoTheirAnnotationsSay(t *testing.T) {
	ours := clusterSelf.String()
	const shop = "system:serviceaccount:shop:default"
	c := startCluster(t,
		pod("shop", "orders-1", "default", map[string]string{"dapr.io/app-id": "orders"}),
		pod("shop", "old-1", "default", map[string]string{"dapr.io/id": "old"}),
		pod("shop", "bare", "default", nil),
		pod("shop", "domain-1", "default", map[string]string{"dapr.io/app-id": "domain", "dapr.io/config": "conf"}),
		pod("shop", "lost-1", "default", map[string]string{"dapr.io/app-id": "lost", "dapr.io/config": "gone"}),
		pod("shop", "evil-1", "default", map[string]string{"dapr.io/control-plane": "operator"}),
		pod(controlPlane, "operator-1", "dapr-operator", map[string]string{"dapr.io/control-plane": "operator"}),
		pod(controlPlane, "scheduler-1", "dapr-scheduler", map[string]string{"dapr.io/control-plane": "scheduler"}),
		pod(controlPlane, "poser-1", "default", map[string]string{"dapr.io/app-id": "dapr-operator", "dapr.io/config": "cp"}),
		configuration("shop", "conf", "acme.example"), configuration(controlPlane, "cp", "cluster.local"),
	)
	tokens := map[string]authv1.TokenReviewStatus{}
	give := func(podName, uid, account string, s authv1.TokenReviewStatus) string {
		tk := token(podName, uid, account+strconv.Itoa(len(tokens)))
		tokens[tk] = s
		return tk
	}
	legacy := give("orders-1", "orders-1-uid", "a", known(shop, "dapr.io/sentry"))
	unbound := "e30.e30.x"
	tokens[unbound] = known(shop, ours)
	tokens["opaque"] = known(shop, ours)
	c.reviews(tokens)

	v := &podTokens{c.cluster, clusterSelf}
	for _, x := range []struct {
		name, token, namespace, id string
		want, err                  string
		code                       codes.Code
	}{
		{name: "app", token: give("orders-1", "orders-1-uid", "", known(shop, ours)), namespace: "shop", id: "orders", want: "spiffe://public/ns/shop/orders"},
		{name: "old audience", token: legacy, namespace: "shop", id: "orders", want: "spiffe://public/ns/shop/orders"},
		{name: "old annotation", token: give("old-1", "", "", known(shop, ours)), namespace: "shop", id: "old", want: "spiffe://public/ns/shop/old"},
		{name: "without annotations", token: give("bare", "", "", known(shop, ours)), namespace: "shop", id: "bare", want: "spiffe://public/ns/shop/bare"},
		{name: "trust domain", token: give("domain-1", "", "", known(shop, ours)), namespace: "shop", id: "domain", want: "spiffe://acme.example/ns/shop/domain"},
		{name: "control plane", token: give("operator-1", "", "", known("system:serviceaccount:dapr-system:dapr-operator", ours)), namespace: controlPlane, id: "dapr-operator", want: "spiffe://cluster.local/ns/dapr-system/dapr-operator"},

		{name: "no token", namespace: "shop", id: "orders", err: "no token"},
		{name: "unknown token", token: "x.y.z", namespace: "shop", id: "orders", err: "the cluster does not know the token"},
		{name: "refused token", token: give("orders-1", "", "", authv1.TokenReviewStatus{Error: "token expired"}), namespace: "shop", id: "orders", err: "the cluster refuses the token: token expired"},
		{name: "another audience", token: give("orders-1", "", "", known(shop, "vault")), namespace: "shop", id: "orders", err: "the token is not for this certificate authority"},
		{name: "no audience", token: give("orders-1", "", "", known(shop)), namespace: "shop", id: "orders", err: "the token is not for this certificate authority"},
		{name: "a person", token: give("orders-1", "", "", known("jane", ours)), namespace: "shop", id: "orders", err: `the token is that of user "jane", not of a service account`},
		{name: "another namespace", token: give("orders-1", "", "", known(shop, ours)), namespace: "bank", id: "orders", err: `pod in namespace "shop", but the request is for namespace "bank"`},
		{name: "another app", token: give("orders-1", "", "", known(shop, ours)), namespace: "shop", id: "payments", err: `is app "orders", but the request is for app "payments"`},
		{name: "not bound to a pod", token: unbound, namespace: "shop", id: "orders", err: "not bound to a pod"},
		{name: "not a JWT", token: "opaque", namespace: "shop", id: "orders", err: "not a JWT"},
		{name: "a pod that is gone", token: give("gone", "", "", known(shop, ours)), namespace: "shop", id: "gone", err: "pod shop/gone, which does not exist"},
		{name: "an earlier pod", token: give("orders-1", "other-uid", "", known(shop, ours)), namespace: "shop", id: "orders", err: "an earlier pod shop/orders-1"},
		{name: "another service account", token: give("orders-1", "", "", known("system:serviceaccount:shop:robot", ours)), namespace: "shop", id: "orders", err: `has service account "default", not the token's "robot"`},
		{name: "no such Configuration", token: give("lost-1", "", "", known(shop, ours)), namespace: "shop", id: "lost", err: `names the Configuration "gone", which does not exist`},
		{name: "control plane elsewhere", token: give("evil-1", "", "", known(shop, ours)), namespace: "shop", id: "dapr-operator", err: "but the control plane is in namespace dapr-system"},
		{name: "the control plane's identity", token: give("poser-1", "", "", known("system:serviceaccount:dapr-system:default", ours)), namespace: controlPlane, id: "dapr-operator", err: "which is the control plane's"},
	} {
		t.Run(x.name, func(t *testing.T) {
			id, err := v.validate(t.Context(), &sentryv1.SignCertificateRequest{Token: x.token, Namespace: x.namespace, Id: x.id, TrustDomain: "ignored"})
			if x.err != "" {
				require.ErrorContains(t, err, x.err)
				_, isStatus := status.FromError(err)
				require.False(t, isStatus, "it becomes PermissionDenied")
				return
			}
			require.NoError(t, err)
			require.Equal(t, x.want, id.String())
		})
	}
}

func TestACertificateInACluster(t *testing.T) {
	c := startCluster(t, append(emptyBundle(),
		pod(controlPlane, "injector-1", "dapr-injector", map[string]string{"dapr.io/control-plane": "injector"}),
		pod("shop", "shop-1", "default", map[string]string{"dapr.io/app-id": "caller"}),
	)...)
	system, shop := token("injector-1", "", "a"), token("shop-1", "", "b")
	c.reviews(map[string]authv1.TokenReviewStatus{
		system: known("system:serviceaccount:dapr-system:dapr-injector", clusterSelf.String()),
		shop:   known("system:serviceaccount:shop:default", clusterSelf.String()),
	})
	r := c.start(t)
	r.ready()
	address := r.address()
	kept, _ := c.bundle(t)
	provider := func(id security.ID, tk string) *security.Provider {
		anchors, err := security.NewAnchors(kept.Anchors)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(file, []byte(tk+"\n"), 0o600))
		return identity(t, address, id, anchors, func(o *security.Options) {
			o.Sentry = clusterSelf
			o.Token = security.Token{File: file, Validator: sentryv1.SignCertificateRequest_KUBERNETES}
		})
	}
	injector := provider(security.ID{TrustDomain: "x", Namespace: controlPlane, AppID: security.Injector}, system)
	require.Equal(t, "spiffe://cluster.local/ns/dapr-system/dapr-injector", injector.ID().String())
	svid, err := injector.GetX509SVID()
	require.NoError(t, err)
	require.Equal(t, []string{"dapr-sidecar-injector.dapr-system.svc"}, svid.Certificates[0].DNSNames)
	app := provider(security.ID{TrustDomain: "public", Namespace: "shop", AppID: "caller"}, shop)
	require.NoError(t, call(t, serve(t, app), app.ClientCredentials(security.App("shop", "caller"))))
	require.NoError(t, call(t, serve(t, injector), app.ClientCredentials(security.Exactly(injector.ID()))))
}

func TestAStolenIdentityEndsTheSidecarAtOnce(t *testing.T) {
	c := startCluster(t, append(emptyBundle(), pod("shop", "orders-1", "default", map[string]string{"dapr.io/app-id": "orders"}))...)
	tk := token("orders-1", "", "a")
	c.reviews(map[string]authv1.TokenReviewStatus{tk: known("system:serviceaccount:shop:default", clusterSelf.String())})
	r := c.start(t)
	r.ready()
	kept, _ := c.bundle(t)
	anchors, err := security.NewAnchors(kept.Anchors)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(tk), 0o600))
	p, err := security.NewProvider(security.Options{
		ID: security.ID{TrustDomain: "public", Namespace: "shop", AppID: "payments"}, Sentry: clusterSelf, SentryAddress: r.address(), Anchors: anchors,
		Token: security.Token{File: file, Validator: sentryv1.SignCertificateRequest_KUBERNETES}, Log: discard(),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = p.Run(ctx)
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.ErrorContains(t, err, `pod shop/orders-1 is app "orders", but the request is for app "payments"`)
	require.NotContains(t, r.out.String(), tk)
}

func TestTheAPIServersTroubleIsNotTheCallersFault(t *testing.T) {
	c := startCluster(t, emptyBundle()...)
	c.api.Answer(http.MethodPost, tokenReviews,
		kubeapitest.Refuse(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "busy"))
	r := c.start(t)
	r.ready()
	kept, _ := c.bundle(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), kept.Anchors, 0o600))
	conn, err := grpc.NewClient(r.address(), grpc.WithTransportCredentials(credentials.NewTLS(anonymous(t, dir))))
	require.NoError(t, err)
	defer conn.Close()
	_, err = sentryv1.NewCAClient(conn).SignCertificate(t.Context(), &sentryv1.SignCertificateRequest{
		Id: "orders", Namespace: "shop", Token: "t", CertificateSigningRequest: csr(t),
	})
	require.Equal(t, codes.Internal, status.Code(err))
}
