package kubernetes

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

func TestTryInjection(t *testing.T) {
	var mutate func(http.ResponseWriter, *corev1.Pod)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var pod corev1.Pod
		if err == nil {
			_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, &pod)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/api/v1/namespaces/shop/pods" || r.URL.Query().Get("dryRun") != metav1.DryRunAll {
			http.Error(w, r.Method+" "+r.URL.String(), http.StatusBadRequest)
			return
		}
		pod.APIVersion, pod.Kind = "v1", "Pod"
		w.Header().Set("Content-Type", "application/json")
		mutate(w, &pod)
		_ = json.NewEncoder(w).Encode(pod)
	}))
	defer server.Close()
	var told []string
	c, err := Connect(Options{Kubeconfig: kubeconfig(t, "test", server.URL), Warn: func(s string) { told = append(told, s) }})
	require.NoError(t, err)

	mutate = func(_ http.ResponseWriter, pod *corev1.Pod) {
		pod.Spec.InitContainers = []corev1.Container{{Name: "daprd", Image: "dapr:1"}}
	}
	i, err := c.TryInjection(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, Injection{Injected: true, Image: "dapr:1"}, i)

	mutate = func(w http.ResponseWriter, _ *corev1.Pod) {
		w.Header().Add("Warning", `299 - "no sidecar: it was made by \"alice\""`)
	}
	i, err = c.TryInjection(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, Injection{Stranger: true}, i)

	mutate = func(w http.ResponseWriter, _ *corev1.Pod) { w.Header().Add("Warning", `299 - "something else"`) }
	i, err = c.TryInjection(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, Injection{}, i)
	require.Empty(t, told, "they are about a pod that is never made")

	_, err = c.TryInjection(t.Context(), "other")
	require.ErrorContains(t, err, "try what becomes of a pod that asks for a sidecar: ")
}
