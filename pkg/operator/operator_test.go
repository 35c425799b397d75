package operator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/kubeapi/kubeapitest"
	"github.com/hyperdapr/dapr/pkg/service"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// testCluster is a cluster with an API server of the test's own.
type testCluster struct {
	*cluster
	api *kubeapitest.Server
}

// startCluster starts one with the objects in it.
func startCluster(t *testing.T, objects ...any) *testCluster {
	t.Helper()
	api := kubeapitest.Start(t)
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Secret:
			api.Add("/api/v1/namespaces/"+o.Namespace+"/secrets", o)
		case *corev1.Service:
			api.Add("/api/v1/namespaces/"+o.Namespace+"/services", o)
		case *corev1.Pod:
			api.Add("/api/v1/namespaces/"+o.Namespace+"/pods", o)
		case *unstructured.Unstructured:
			api.Add("/apis/"+o.GetAPIVersion()+"/namespaces/"+o.GetNamespace()+"/"+strings.ToLower(o.GetKind())+"s", o)
		default:
			require.Fail(t, "an object of an unknown kind", "%T", o)
		}
	}
	c, err := connect(api.Config(), "")
	require.NoError(t, err)
	return &testCluster{c, api}
}

// background runs something until the test ends or the function it returns is
// called, which waits for its end.
func background(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// startResources returns resources that have been read.
func startResources(t *testing.T, c *testCluster) *resources {
	t.Helper()
	r := newResources(c.cluster, telemetry.Discard())
	complete := make(chan struct{})
	background(t, func(ctx context.Context) error {
		return r.run(ctx, func(missing string) {
			if missing == "" {
				close(complete)
			}
		})
	})
	select {
	case <-complete:
	case <-time.After(patience):
		require.Fail(t, "the resources were not read")
	}
	return r
}

const patience = 20 * time.Second

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	require.NoError(t, u.UnmarshalJSON([]byte(text)))
	return u
}

func component(t *testing.T, namespace, name, more string) *unstructured.Unstructured {
	t.Helper()
	return object(t, `{"apiVersion":"dapr.io/v1alpha1","kind":"Component","metadata":{"namespace":"`+namespace+`","name":"`+name+`"}`+more+`}`)
}

func TestListIsWhatTheCallerSees(t *testing.T) {
	c := startCluster(t,
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "redis"}, Data: map[string][]byte{"password": []byte("hunter2")}},
		component(t, "shop", "all", `,"spec":{"type":"state.redis","metadata":[{"name":"p","secretKeyRef":{"name":"redis","key":"password"}},{"name":"q","secretKeyRef":{"name":"none"}}]}`),
		component(t, "shop", "mine", `,"spec":{"type":"state.redis"},"scopes":["orders"]`),
		component(t, "shop", "theirs", `,"spec":{"type":"state.redis"},"scopes":["other"]`),
		component(t, "shop", "vault", `,"spec":{"metadata":[{"name":"p","secretKeyRef":{"name":"redis","key":"password"}}]},"auth":{"secretStore":"vault"}`),
		component(t, "elsewhere", "foreign", `,"spec":{"type":"state.redis"}`),
	)
	r := startResources(t, c)

	documents, err := r.list(t.Context(), components, caller{namespace: "shop", appID: "orders"})
	require.NoError(t, err)
	found := map[string]string{}
	for _, d := range documents {
		found[object(t, string(d)).GetName()] = string(d)
	}
	require.Len(t, found, 3)
	require.Contains(t, found["all"], `"secretKeyRef":{"key":"password","name":"redis"},"value":"aHVudGVyMg=="`)
	require.Contains(t, found["all"], `{"name":"q","secretKeyRef":{"name":"none"}}`, "what is missing is left to the sidecar to say")
	require.Contains(t, found, "mine")
	require.NotContains(t, found["vault"], "aHVudGVyMg==", "another store's secrets are the sidecar's to read")
}

func TestFollowTellsOfChangesInScope(t *testing.T) {
	c := startCluster(t)
	r := startResources(t, c)
	type told struct {
		name string
		typ  operatorv1.ResourceEventType
	}
	events := make(chan told, 16)
	ctx := t.Context()
	begun := make(chan struct{})
	stop := background(t, func(ctx context.Context) error {
		return r.follow(ctx, components, caller{"shop", "orders"}, func() error {
			close(begun)
			return nil
		}, func(d []byte, typ operatorv1.ResourceEventType) error {
			events <- told{object(t, string(d)).GetName(), typ}
			return nil
		})
	})
	<-begun

	client := c.resources(components)
	_, err := client.Create(ctx, "elsewhere", component(t, "elsewhere", "foreign", ""))
	require.NoError(t, err)
	_, err = client.Create(ctx, "shop", component(t, "shop", "store", `,"spec":{"type":"state.redis"}`))
	require.NoError(t, err)
	require.Equal(t, told{"store", operatorv1.ResourceEventType_CREATED}, <-events)
	_, err = client.Update(ctx, "shop", "store", component(t, "shop", "store", `,"spec":{"type":"state.redis","version":"v1"}`))
	require.NoError(t, err)
	require.Equal(t, told{"store", operatorv1.ResourceEventType_UPDATED}, <-events)
	_, err = client.Update(ctx, "shop", "store", component(t, "shop", "store", `,"spec":{"type":"state.redis","version":"v1"},"scopes":["other"]`))
	require.NoError(t, err)
	require.Equal(t, told{"store", operatorv1.ResourceEventType_DELETED}, <-events, "out of scope is gone")
	stop()
}

func deployment(t *testing.T, annotations string) *unstructured.Unstructured {
	t.Helper()
	return object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"shop","name":"node","uid":"u1"},
		"spec":{"selector":{"matchLabels":{"app":"node"}},"template":{"metadata":{"annotations":{`+annotations+`}}}}}`)
}

func TestServicesFollowTheWorkloads(t *testing.T) {
	c := startCluster(t, deployment(t, `"dapr.io/enabled":"true","dapr.io/id":"nodeapp","dapr.io/metrics-port":"9091","dapr.io/sidecar-svc-annotations":"team=shop"`))
	p := &service.Process{Log: telemetry.Discard(), Metrics: telemetry.NewMetrics("")}
	ctx := t.Context()
	stop := background(t, newServices(c.cluster, options{}, p).run)

	var svc *corev1.Service
	require.Eventually(t, func() bool {
		var err error
		svc, err = c.services.Get(ctx, "shop", "nodeapp-dapr")
		return err == nil
	}, 5*time.Second, time.Millisecond)
	require.Equal(t, "None", svc.Spec.ClusterIP)
	require.Equal(t, map[string]string{"app": "node"}, svc.Spec.Selector)
	require.Equal(t, map[string]string{
		"dapr.io/app-id": "nodeapp", "prometheus.io/probe": "true", "prometheus.io/scrape": "true", "prometheus.io/path": "/",
		"prometheus.io/port": "9091", "team": "shop",
	}, svc.Annotations)
	require.Equal(t, "u1", string(svc.OwnerReferences[0].UID))
	ports := map[string][2]int32{}
	for _, port := range svc.Spec.Ports {
		ports[port.Name] = [2]int32{port.Port, port.TargetPort.IntVal}
	}
	require.Equal(t, map[string][2]int32{"dapr-http": {80, 3500}, "dapr-grpc": {50001, 50001}, "dapr-internal": {50002, 50002}, "dapr-metrics": {9091, 9091}}, ports)

	// What somebody does to a service is mended at once.
	svc.Spec.Ports = svc.Spec.Ports[:1]
	svc.Annotations["mine"] = "kept"
	_, err := c.services.Update(ctx, "shop", "nodeapp-dapr", svc)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		svc, err := c.services.Get(ctx, "shop", "nodeapp-dapr")
		return err == nil && len(svc.Spec.Ports) == 4 && svc.Annotations["mine"] == "kept"
	}, patience, 5*time.Millisecond)
	require.NoError(t, c.services.Delete(ctx, "shop", "nodeapp-dapr"))
	require.Eventually(t, func() bool {
		_, err := c.services.Get(ctx, "shop", "nodeapp-dapr")
		return err == nil
	}, patience, 5*time.Millisecond)

	workloads := kubeapi.Of[unstructured.Unstructured](c.client, "apps", "v1", "deployments")
	_, err = workloads.Update(ctx, "shop", "node", deployment(t, `"dapr.io/enabled":"true","dapr.io/app-id":"renamed"`))
	require.NoError(t, err)
	names := func() string {
		list, err := c.services.List(ctx, "shop", metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return strings.Join(names, " ")
	}
	require.Eventually(t, func() bool { return names() == "renamed-dapr" }, patience, 5*time.Millisecond)
	_, err = workloads.Update(ctx, "shop", "node", deployment(t, `"dapr.io/enabled":"false"`))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return names() == "" }, patience, 5*time.Millisecond)
	stop()
}

// Every kind of workload gets a service of its own, and a kind that is not
// installed holds up no other.
func TestServicesOfEveryKindOfWorkload(t *testing.T) {
	of := func(group, kind, id string) *unstructured.Unstructured {
		return object(t, `{"apiVersion":"`+group+`","kind":"`+kind+`","metadata":{"namespace":"shop","name":"`+id+`","uid":"`+id+`-uid"},
			"spec":{"selector":{"matchLabels":{"app":"`+id+`"}},"template":{"metadata":{"annotations":{"dapr.io/enabled":"true","dapr.io/app-id":"`+id+`"}}}}}`)
	}
	c := startCluster(t, of("apps/v1", "Deployment", "node"), of("apps/v1", "StatefulSet", "store"), of("argoproj.io/v1alpha1", "Rollout", "shop"))
	const rollouts = "/apis/argoproj.io/v1alpha1/rollouts"
	c.api.Answer(http.MethodGet, rollouts, kubeapitest.Refuse(http.StatusNotFound, "NotFound", "the server could not find the requested resource"))
	background(t, newServices(c.cluster, options{rollouts: true}, &service.Process{Log: telemetry.Discard(), Metrics: telemetry.NewMetrics("")}).run)
	has := func(id, kind string) {
		t.Helper()
		require.Eventually(t, func() bool {
			svc, err := c.services.Get(t.Context(), "shop", id+"-dapr")
			return err == nil && svc.OwnerReferences[0].Kind == kind && string(svc.OwnerReferences[0].UID) == id+"-uid" && svc.Spec.Selector["app"] == id
		}, patience, 10*time.Millisecond)
	}
	has("node", "Deployment")
	has("store", "StatefulSet")
	c.api.Answer(http.MethodGet, rollouts, nil)
	has("shop", "Rollout")
}

func TestAServiceOfSomebodyElseIsLeftAlone(t *testing.T) {
	c := startCluster(t,
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nodeapp-dapr"}},
		deployment(t, `"dapr.io/enabled":"true","dapr.io/app-id":"nodeapp"`),
	)
	var out output
	background(t, newServices(c.cluster, options{}, &service.Process{
		Log: telemetry.NewLogger(&out, telemetry.LogOptions{}), Metrics: telemetry.NewMetrics(""),
	}).run)
	require.Eventually(t, func() bool {
		return strings.Contains(out.String(), "belongs to something else; give the app another dapr.io/app-id")
	}, patience, 5*time.Millisecond)
	svc, err := c.services.Get(t.Context(), "shop", "nodeapp-dapr")
	require.NoError(t, err)
	require.Empty(t, svc.Spec.Ports)
}

// output is what has been logged so far.
type output struct {
	mu  sync.Mutex
	buf strings.Builder
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

func TestWatchdogDeletesOnlyWhatMissedItsSidecar(t *testing.T) {
	controlled := []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", UID: "1", Controller: new(true)}}
	pod := func(name string, owners []metav1.OwnerReference, annotation string, containers ...string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, OwnerReferences: owners, Annotations: map[string]string{"dapr.io/enabled": annotation}}}
		for _, c := range containers {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
		}
		return p
	}
	finished := pod("finished", controlled, "true", "app")
	finished.Status.Phase = corev1.PodSucceeded
	c := startCluster(t,
		pod("missed", controlled, "true", "app"),
		pod("fine", controlled, "true", "app", "daprd"),
		pod("plain", controlled, "false", "app"),
		pod("alone", nil, "true", "app"),
		finished,
		object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"dapr-system","name":"dapr-sidecar-injector"},"status":{"availableReplicas":1}}`),
	)
	w := newWatchdog(c.cluster, options{namespace: "dapr-system", restartsPerMin: 60000}, telemetry.Discard())
	looked, err := w.look(t.Context())
	require.NoError(t, err)
	require.True(t, looked)
	pods, err := c.pods.List(t.Context(), "shop", metav1.ListOptions{})
	require.NoError(t, err)
	var names []string
	for i := range pods.Items {
		names = append(names, pods.Items[i].Name)
	}
	require.ElementsMatch(t, []string{"fine", "plain", "alone", "finished"}, names)
}

// Once is once with the injector there, however late it comes.
func TestWatchdogWaitsForTheInjector(t *testing.T) {
	c := startCluster(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "missed", Annotations: map[string]string{"dapr.io/enabled": "true"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", UID: "1", Controller: new(true)}},
	}})
	w := newWatchdog(c.cluster, options{namespace: "dapr-system", watchOnce: true, restartsPerMin: 60000}, telemetry.Discard())
	looked, err := w.look(t.Context())
	require.NoError(t, err)
	require.False(t, looked)

	background(t, w.run)
	c.api.Add("/apis/apps/v1/namespaces/dapr-system/deployments", object(t,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"dapr-sidecar-injector"},"status":{"availableReplicas":1}}`))
	require.Eventually(t, func() bool {
		_, err := c.pods.Get(t.Context(), "shop", "missed")
		return apierrors.IsNotFound(err)
	}, patience, 10*time.Millisecond)
}

func TestConvertSubscriptionsThereAndBack(t *testing.T) {
	v2 := `{"apiVersion":"dapr.io/v2alpha1","kind":"Subscription","metadata":{"name":"s"},"spec":{"topic":"t","pubsubname":"p","routes":{"default":"/d","rules":[{"match":"event.type == \"x\"","path":"/x"}]}}}`
	v1, err := convertObject([]byte(v2), subscriptionV1)
	require.NoError(t, err)
	require.Contains(t, string(v1), `"route":"/d"`)
	back, err := convertObject(v1, subscriptionV2)
	require.NoError(t, err)
	require.JSONEq(t, strings.Replace(v2, `"name":"s"`, `"annotations":{},"name":"s"`, 1), strings.Replace(string(back), `"metadata":{"name":"s"}`, `"metadata":{"annotations":{},"name":"s"}`, 1))

	body := `{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview","request":{"uid":"7","desiredAPIVersion":"dapr.io/v3","objects":[` + v2 + `]}}`
	rec := httptest.NewRecorder()
	convert(rec, httptest.NewRequest(http.MethodPost, "/convert", strings.NewReader(body)))
	require.Contains(t, rec.Body.String(), `"uid":"7"`)
	require.Contains(t, rec.Body.String(), "cannot be converted from dapr.io/v2alpha1 to dapr.io/v3")
}

func TestParseInterval(t *testing.T) {
	for in, want := range map[string]options{"0": {}, "once": {watchOnce: true}, "10s": {watchInterval: 10 * time.Second}} {
		var o options
		require.NoError(t, o.parseInterval(in))
		require.Equal(t, want, o)
	}
	require.EqualError(t, new(options).parseInterval("10ms"), `--watch-interval "10ms": use a time of 1s or more, once, or 0 for never`)
}
