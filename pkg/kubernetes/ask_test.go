package kubernetes

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

// refusing is a cluster whose answer to every request is an error.
func refusing(err error) *Client {
	refuse := func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, err }
	set := fake.NewClientset()
	set.PrependReactor("*", "*", refuse)
	kinds := map[schema.GroupVersionResource]string{{Group: "dapr.io", Version: "v1alpha1", Resource: Components}: "ComponentList"}
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	dyn.PrependReactor("*", "*", refuse)
	return &Client{Clientset: set, Dynamic: dyn, target: target{context: "work", cluster: "main", user: "ann", config: nil}}
}

func TestWhatTheClusterRefuses(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"no right": {apierrors.NewForbidden(pods, "", nil), "list pods: pods"},
		"no kind":  {apierrors.NewNotFound(pods, ""), "list pods: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := refusing(tt.err).Apps(t.Context(), "")
			require.ErrorContains(t, err, tt.want)
			require.ErrorIs(t, err, tt.err)
		})
	}
}

func TestArguments(t *testing.T) {
	args := []string{"/daprd", "--app-id", "shop", "--app-port=80", "--mode", "kubernetes", "--last"}
	require.Equal(t, "shop", argument(args, "--app-id"))
	require.Equal(t, "80", argument(args, "--app-port"))
	require.Empty(t, argument(args, "--app"))
	require.Empty(t, argument(args, "--last"), "a flag without a value")
}

func TestImageTags(t *testing.T) {
	for image, want := range map[string]string{
		"ghcr.io/x/dapr:1.2.3":             "1.2.3",
		"localhost:5000/dapr":              "",
		"localhost:5000/dapr:edge":         "edge",
		"ghcr.io/x/dapr:1.2.3@sha256:0123": "1.2.3",
		"ghcr.io/x/dapr@sha256:0123":       "",
	} {
		require.Equal(t, want, imageTag(&corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}), image)
	}
	require.Empty(t, imageTag(&corev1.Pod{}))
}

func TestControlPlaneTakesTheWorstPod(t *testing.T) {
	now := time.Now()
	pod := func(name string, age time.Duration, state corev1.ContainerState, ready bool) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Namespace: "dapr-system", Labels: map[string]string{"app": "dapr-sentry"}, CreationTimestamp: metav1.NewTime(now.Add(-age)),
			},
			Spec:   corev1.PodSpec{Containers: []corev1.Container{{Image: "x/dapr:1"}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{State: state, Ready: ready}}},
		}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	crashing := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	leaving := pod("leaving", time.Hour, crashing, false)
	leaving.DeletionTimestamp = &metav1.Time{Time: now}
	leaving.Finalizers = []string{"x"}
	c := &Client{Clientset: fake.NewClientset(
		pod("a", time.Minute, running, true), pod("b", 2*time.Minute, crashing, false), pod("c", time.Second, running, true), leaving,
	)}
	services, err := c.ControlPlane(t.Context())
	require.NoError(t, err)
	require.Len(t, services, 1)
	s := services[0]
	require.Equal(t, "dapr-sentry", s.Name)
	require.False(t, s.Healthy)
	require.Equal(t, "Waiting (CrashLoopBackOff)", s.Status)
	require.Equal(t, 3, s.Replicas, "a pod on its way out does not count")
	require.WithinDuration(t, now.Add(-2*time.Minute), s.Created, time.Second)
}

func TestReplaceTrustNoticesAnotherWriter(t *testing.T) {
	made, err := authority.New(authority.Options{ID: security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Sentry}, Now: time.Now()})
	require.NoError(t, err)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: trustBundle, Namespace: "dapr-system"},
		Data:       map[string][]byte{authority.AnchorsKey: made.Anchors, authority.IssuerKey: made.Issuer, authority.SecretKey: made.Key},
	}
	set := fake.NewClientset(secret)
	set.PrependReactor("update", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, trustBundle, nil)
	})
	c := &Client{Clientset: set}
	bundle, err := c.TrustBundle(t.Context(), "dapr-system")
	require.NoError(t, err)
	require.ErrorContains(t, c.ReplaceTrust(t.Context(), bundle, made), "somebody else has just changed the certificate authority")

	delete(secret.Data, authority.SecretKey)
	c = &Client{Clientset: fake.NewClientset(secret)}
	_, err = c.TrustBundle(t.Context(), "dapr-system")
	require.ErrorContains(t, err, "has no issuer.key yet: dapr-sentry writes it when it starts")
}
