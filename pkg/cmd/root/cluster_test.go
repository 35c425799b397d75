package root

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/test/golden"
)

// born is when everything in the cluster was made, 90 minutes before the test's
// now.
var born = time.Date(2026, 1, 2, 1, 34, 5, 0, time.UTC)

func pod(namespace, name string, labels map[string]string, containers ...corev1.Container) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, CreationTimestamp: metav1.NewTime(born)},
		Spec:       corev1.PodSpec{Containers: containers},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, c := range containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
	}
	return p
}

func servicePod(app, name string) *corev1.Pod {
	return pod("dapr-system", name, map[string]string{"app": app}, corev1.Container{Name: app, Image: "localhost:5000/dapr:1.2.3"})
}

func appPod(namespace, name string, args ...string) *corev1.Pod {
	return pod(namespace, name, nil, corev1.Container{Name: "app"}, corev1.Container{Name: "daprd", Args: append([]string{"/daprd"}, args...)})
}

func object(kind, namespace, name string, fields map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: fields}
	o.SetAPIVersion("dapr.io/v1alpha1")
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetCreationTimestamp(metav1.NewTime(born))
	return o
}

func trustBundle(t *testing.T, lifetime time.Duration) *corev1.Secret {
	t.Helper()
	b, err := authority.New(authority.Options{
		ID:  security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Sentry},
		Now: born, Lifetime: lifetime,
	})
	require.NoError(t, err)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dapr-system", Name: "dapr-trust-bundle"},
		Data:       map[string][]byte{authority.AnchorsKey: b.Anchors, authority.IssuerKey: b.Issuer, authority.SecretKey: b.Key},
	}
}

// fakeCluster holds objects as a real one would, and does nothing with them. It
// has dapr-sentry's habit of publishing the roots that are in the Secret.
func fakeCluster(typed, resources []runtime.Object) *kubernetes.Client {
	set := fake.NewClientset(typed...)
	set.PrependReactor("get", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) {
		o, err := set.Tracker().Get(corev1.SchemeGroupVersion.WithResource("secrets"), "dapr-system", "dapr-trust-bundle")
		if err != nil {
			return true, nil, err
		}
		roots := string(o.(*corev1.Secret).Data[authority.AnchorsKey])
		return true, &corev1.ConfigMap{Data: map[string]string{authority.AnchorsKey: roots}}, nil
	})
	kinds := map[schema.GroupVersionResource]string{
		{Group: "dapr.io", Version: "v1alpha1", Resource: "components"}:     "ComponentList",
		{Group: "dapr.io", Version: "v1alpha1", Resource: "configurations"}: "ConfigurationList",
	}
	return &kubernetes.Client{Clientset: set, Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, resources...)}
}

func TestAClusterInWords(t *testing.T) {
	unixOnly(t)
	broken := servicePod("dapr-placement-server", "dapr-placement-server-0")
	broken.Status.Conditions = nil
	broken.Status.ContainerStatuses[0] = corev1.ContainerStatus{
		Name: "dapr-placement-server", Image: "localhost:5000/dapr:1.2.3",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"}},
	}
	native := pod("shop", "cart-1", nil, corev1.Container{Name: "app"})
	native.Spec.InitContainers = []corev1.Container{{Name: "daprd", Args: []string{"/daprd", "--app-id=cart", "--app-port=80"}}}
	typed := []runtime.Object{
		servicePod("dapr-operator", "dapr-operator-1"), servicePod("dapr-operator", "dapr-operator-2"),
		servicePod("dapr-sentry", "dapr-sentry-1"), broken, pod("default", "web", map[string]string{"app": "web"}, corev1.Container{Name: "web"}),
		appPod("default", "nodeapp-1", "--app-id", "nodeapp", "--app-port", "3000"), appPod("default", "pythonapp-1", "--app-id", "pythonapp"), native,
		trustBundle(t, 300*24*time.Hour),
	}
	resources := []runtime.Object{
		object("Component", "default", "statestore", map[string]any{
			"spec": map[string]any{"type": "state.redis", "version": "v1", "metadata": []any{
				map[string]any{"name": "redisPassword", "secretKeyRef": map[string]any{"name": "redis", "key": "password"}},
			}},
			"scopes": []any{"nodeapp", "cart"},
		}),
		object("Component", "shop", "orders", map[string]any{"spec": map[string]any{"type": "pubsub.redis", "version": "v1"}}),
		object("Configuration", "dapr-system", "daprsystem", map[string]any{"spec": map[string]any{
			"mtls": map[string]any{"enabled": true, "allowedClockSkew": "15m", "controlPlaneTrustDomain": "cluster.local"},
		}}),
		object("Configuration", "default", "traced", map[string]any{"spec": map[string]any{
			"tracing": map[string]any{"samplingRate": "0.5"}, "metric": map[string]any{"enabled": false},
		}}),
		object("Configuration", "default", "quiet", map[string]any{"spec": map[string]any{"tracing": map[string]any{"samplingRate": "0"}}}),
	}
	p := newPerson(t)
	p.cluster = fakeCluster(typed, resources)
	certs := filepath.Join(p.home, "certs")
	var b strings.Builder
	for _, line := range []string{
		"status -k", "status -k -o json", "version -k", "version -k -o json",
		"list -k", "list -k --namespace default", "list -k --namespace nothing", "list -k -o json", "list -k -A --namespace shop",
		"logs -k -a nodeapp", "logs -k -a nodeap", "logs -k -a nodeapp -p other", "logs -k -a cart -n shop", "logs -k -a cart -n nothing",
		"components -k", "components -k -n orders -o json", "components -k -n orders -o yaml", "components -k --namespace nothing", "components",
		"configurations -k", "configurations -k --name traced -o yaml",
		"mtls -k", "mtls", "mtls expiry", "mtls export -o " + certs,
		"mtls renew-certificate", "mtls renew-certificate -k --issuer-private-key x", "mtls renew-certificate -k --valid-until 0",
		"mtls renew-certificate -k --private-key none.key", "mtls renew-certificate -k --private-key " + certs + "/ca.crt",
		"mtls renew-certificate -k --private-key x --ca-root-certificate x",
		"mtls renew-certificate -k --private-key " + certs + "/issuer.key --image-variant x --valid-until 30", "mtls renew-certificate -k --valid-until 29", "mtls expiry", "components -k",
		"list -k --namespace nothing", "configurations -k --name quiet -o json", "status -k -o yaml",
		"mtls renew-cert -k --restart --ca-root-certificate " + certs + "/ca.crt --issuer-public-certificate " + certs + "/issuer.crt --issuer-private-key " + certs + "/issuer.key",
		"mtls expiry",
	} {
		b.WriteString(p.types(strings.Fields(line)...) + "\n")
	}
	local, utc := born.Local().Format(cmdutil.CreatedFormat), born.Format(cmdutil.CreatedFormat)
	golden.Equal(t, "cluster.txt", strings.ReplaceAll(b.String(), local, utc))

	for _, file := range []string{"ca.crt", "issuer.crt", "issuer.key"} {
		info, err := os.Stat(filepath.Join(certs, file))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

// failing is the exit code of a command that cannot do what it was asked.
func failing(line string) int {
	if line == "mtls expiry" {
		return 0 // as scripts of the other Dapr know it
	}
	return 1
}

func TestAnEmptyCluster(t *testing.T) {
	p := newPerson(t)
	p.cluster = fakeCluster(nil, nil)
	for line, want := range map[string]string{
		"status -k":          `no control plane in the cluster of this pod; run "dapr init -k"`,
		"mtls -k":            `the cluster of this pod has no Configuration "daprsystem"; is the control plane installed there?`,
		"mtls expiry":        `has no Configuration "daprsystem"`,
		"logs -k -a nodeapp": "no pod in the namespace default has a sidecar; give another with --namespace",
	} {
		_, errOut, code := p.run(strings.Fields(line)...)
		require.Equal(t, failing(line), code, line)
		require.Contains(t, errOut, want)
	}
	out, _, code := p.run("version", "-k")
	require.Zero(t, code)
	require.Contains(t, out, "Control plane version: n/a\n")
	out, _, code = p.run("list", "-k")
	require.Zero(t, code)
	require.Equal(t, "No Dapr instances found.\n", out)
}

func TestNoCluster(t *testing.T) {
	p := newPerson(t)
	for _, line := range []string{"status -k", "list -k", "logs -k -a x", "components -k", "configurations -k", "mtls -k", "mtls export", "mtls expiry", "mtls renew-certificate -k", "version -k"} {
		_, errOut, code := p.run(strings.Fields(line)...)
		require.Equal(t, failing(line), code, line)
		require.Regexp(t, regexp.QuoteMeta("no cluster to talk to: there is no kubeconfig in "), errOut)
	}
}
