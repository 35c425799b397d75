package injector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

var controller = authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system:replicaset-controller"}

// newWebhook returns one with what it logs.
func newWebhook(t *testing.T) (*webhook, *bytes.Buffer) {
	t.Helper()
	o, err := optionsFrom(environment(nil))
	require.NoError(t, err)
	var log bytes.Buffer
	return &webhook{
		log:        telemetry.NewLogger(&log, telemetry.LogOptions{}),
		metrics:    newMetrics(telemetry.NewMetrics("")),
		requesters: o.requesters,
		settings:   func() inject.Settings { return o.settings },
		components: func(context.Context, string) ([]inject.Component, error) { return nil, errors.New("no components") },
	}, &log
}

// question is what the API server asks about a pod.
func question(t *testing.T, user authenticationv1.UserInfo, pod []byte) admissionv1.AdmissionReview {
	t.Helper()
	return admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: types.UID("uid-1"), Namespace: "shop", UserInfo: user,
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Object:   apiruntime.RawExtension{Raw: pod},
		},
	}
}

func podJSON(t *testing.T, annotations map[string]string) []byte {
	t.Helper()
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "orders-", Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
	}
	text, err := json.Marshal(pod)
	require.NoError(t, err)
	return text
}

func ask(t *testing.T, client *http.Client, url string, review admissionv1.AdmissionReview) admissionv1.AdmissionReview {
	t.Helper()
	body, err := json.Marshal(review)
	require.NoError(t, err)
	resp, err := client.Post(url, "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var answer admissionv1.AdmissionReview
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer
}

func TestDecisions(t *testing.T) {
	on := map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "orders"}
	for _, tt := range []struct {
		name    string
		user    authenticationv1.UserInfo
		pod     []byte
		change  func(*admissionv1.AdmissionReview)
		denied  string
		patched bool
		log     string
		warning string
		failed  string // reason
	}{
		{name: "sidecar", pod: podJSON(t, on), patched: true, log: `level=info msg="gets a sidecar: annotation dapr.io/enabled is \"true\"" app_id=orders`},
		{name: "not wanted", pod: podJSON(t, nil), log: `level=info msg="left alone: annotation dapr.io/enabled is not set"`},
		{name: "requester", user: authenticationv1.UserInfo{Username: "alice"}, pod: podJSON(t, on), failed: reasonRequester,
			log: `level=error msg="left alone: it was made by \"alice\"`, warning: "no sidecar: it was made by"},
		{name: "requester of a pod without annotations", user: authenticationv1.UserInfo{Username: "alice"}, pod: podJSON(t, nil),
			log: `level=info msg="left alone: annotation dapr.io/enabled is not set"`},
		{name: "requester of a bad pod", user: authenticationv1.UserInfo{Username: "alice"}, pod: podJSON(t, map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "A.B"}),
			failed: reasonRequester, log: "left alone: it was made by", warning: "no sidecar"},
		{name: "app id", pod: podJSON(t, map[string]string{"dapr.io/enabled": "true", "dapr.io/id": "Orders"}), failed: reasonAppID,
			denied: `annotation dapr.io/app-id "Orders" must consist of lower-case letters`, log: `level=error msg="refused: annotation dapr.io/app-id`},
		{name: "warning", pod: podJSON(t, map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "orders", "dapr.io/app-port": "many"}), patched: true,
			log: `level=warning msg="annotation dapr.io/app-port \"many\" is ignored`, warning: `annotation dapr.io/app-port "many" is ignored`},
		{name: "components", pod: podJSON(t, map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "orders", "dapr.io/inject-pluggable-components": "true"}),
			failed: reasonComponents, denied: "no components", log: "refused: no components"},
		{name: "no pod", pod: []byte(`[]`), failed: reasonRequest, denied: "the object is no pod", log: "refused: the object is no pod"},
		{name: "another resource", pod: podJSON(t, on), change: func(r *admissionv1.AdmissionReview) { r.Request.Resource.Resource = "services" }, log: "the webhook is for pods only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hook, log := newWebhook(t)
			server := httptest.NewServer(hook)
			defer server.Close()
			if tt.user.Username == "" {
				tt.user = controller
			}
			review := question(t, tt.user, tt.pod)
			if tt.change != nil {
				tt.change(&review)
			}
			answer := ask(t, server.Client(), server.URL, review)
			require.Nil(t, answer.Request)
			require.EqualValues(t, "uid-1", answer.Response.UID)
			require.Equal(t, tt.denied == "", answer.Response.Allowed)
			if tt.denied != "" {
				require.Contains(t, answer.Response.Result.Message, tt.denied)
			}
			require.Equal(t, tt.patched, len(answer.Response.Patch) > 0)
			require.Contains(t, strings.Join(answer.Response.Warnings, "\n"), tt.warning)
			require.Contains(t, log.String(), tt.log)
			require.Contains(t, log.String(), tt.user.Username, "who asked")

			require.InDelta(t, 1, testutil.ToFloat64(hook.metrics.requests), 0)
			succeeded, failed := 0, 0
			if tt.patched {
				succeeded = 1
				require.InDelta(t, 1, testutil.ToFloat64(hook.metrics.succeeded.WithLabelValues("orders")), 0)
			}
			if tt.failed != "" {
				failed = 1
				require.InDelta(t, 1, testutil.ToFloat64(hook.metrics.failed.MustCurryWith(map[string]string{"reason": tt.failed})), 0)
			}
			require.Equal(t, succeeded, testutil.CollectAndCount(hook.metrics.succeeded))
			require.Equal(t, failed, testutil.CollectAndCount(hook.metrics.failed))
		})
	}
}

func TestWhatIsNoAdmissionReview(t *testing.T) {
	hook, _ := newWebhook(t)
	server := httptest.NewServer(hook)
	defer server.Close()
	for _, tt := range []struct {
		contentType, body string
		code              int
		want              string
	}{
		{"text/plain", `{}`, http.StatusUnsupportedMediaType, "use application/json"},
		{"application/json", `x`, http.StatusBadRequest, "is no AdmissionReview"},
		{"application/json", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v2"}`, http.StatusBadRequest, "only AdmissionReview of admission.k8s.io/v1 and v1beta1"},
		{"application/json", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, http.StatusBadRequest, "has no request"},
		{"application/json", `"` + strings.Repeat("x", maxReview) + `"`, http.StatusBadRequest, "too large"},
	} {
		resp, err := server.Client().Post(server.URL, tt.contentType, strings.NewReader(tt.body))
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, tt.code, resp.StatusCode)
		require.Contains(t, string(text), tt.want)
	}
}

func TestTheOlderVersionIsAnsweredInKind(t *testing.T) {
	hook, _ := newWebhook(t)
	server := httptest.NewServer(hook)
	defer server.Close()
	review := question(t, controller, podJSON(t, map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "orders"}))
	review.APIVersion = "admission.k8s.io/v1beta1"
	answer := ask(t, server.Client(), server.URL, review)
	require.Equal(t, "admission.k8s.io/v1beta1", answer.APIVersion)
	require.Equal(t, admissionv1.PatchTypeJSONPatch, *answer.Response.PatchType)
}

// The pods of the walkthrough, as its Deployments make them.
func TestTheWalkthrough(t *testing.T) {
	hook, _ := newWebhook(t)
	server := httptest.NewServer(hook)
	defer server.Close()
	for name, id := range map[string]string{"node-legacy": "nodeapp", "node": "nodeapp", "python": "pythonapp"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("../inject/testdata/" + name + ".yaml")
			require.NoError(t, err)
			pod, err := yaml.YAMLToJSON(text)
			require.NoError(t, err)
			answer := ask(t, server.Client(), server.URL, question(t, controller, pod))
			require.True(t, answer.Response.Allowed)
			require.Empty(t, answer.Response.Warnings)
			got := patched(t, pod, answer.Response.Patch)
			require.Len(t, got.Spec.Containers, 2)
			sidecar := got.Spec.Containers[1]
			require.Equal(t, "daprd", sidecar.Name)
			require.Contains(t, strings.Join(sidecar.Args, " "), " --app-id "+id+" ")
			require.Equal(t, strings.HasPrefix(name, "node"), strings.Contains(strings.Join(sidecar.Args, " "), " --app-port 3000 "))
			require.Contains(t, sidecar.Env, corev1.EnvVar{Name: "NAMESPACE", Value: "shop"})
		})
	}
}

func patched(t *testing.T, pod, patch []byte) corev1.Pod {
	t.Helper()
	p, err := jsonpatch.DecodePatch(patch)
	require.NoError(t, err)
	text, err := p.Apply(pod)
	require.NoError(t, err)
	var got corev1.Pod
	require.NoError(t, json.Unmarshal(text, &got))
	return got
}
