package operator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/hyperdapr/dapr/pkg/service"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// newCluster is a cluster with the objects in it.
func newCluster(t *testing.T, secrets []runtime.Object, objects ...*unstructured.Unstructured) *cluster {
	t.Helper()
	lists := map[schema.GroupVersionResource]string{
		{Group: "apps", Version: "v1", Resource: "deployments"}:  "DeploymentList",
		{Group: "apps", Version: "v1", Resource: "statefulsets"}: "StatefulSetList",
	}
	for plural, version := range versions {
		lists[gvr(plural, version)] = plural + "List"
	}
	var dynamicObjects []runtime.Object
	for _, o := range objects {
		dynamicObjects = append(dynamicObjects, o)
	}
	typed := fake.NewClientset(secrets...)
	c := &cluster{
		core: typed.CoreV1(), coordination: typed.CoordinationV1(),
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, dynamicObjects...),
	}
	c.informers = dynamicinformer.NewDynamicSharedInformerFactory(c.dynamic, 0)
	return c
}

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
	c := newCluster(t, []runtime.Object{&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "redis"}, Data: map[string][]byte{"password": []byte("hunter2")},
	}},
		component(t, "shop", "all", `,"spec":{"type":"state.redis","metadata":[{"name":"p","secretKeyRef":{"name":"redis","key":"password"}},{"name":"q","secretKeyRef":{"name":"none"}}]}`),
		component(t, "shop", "mine", `,"spec":{"type":"state.redis"},"scopes":["orders"]`),
		component(t, "shop", "theirs", `,"spec":{"type":"state.redis"},"scopes":["other"]`),
		component(t, "shop", "vault", `,"spec":{"metadata":[{"name":"p","secretKeyRef":{"name":"redis","key":"password"}}]},"auth":{"secretStore":"vault"}`),
		component(t, "elsewhere", "foreign", `,"spec":{"type":"state.redis"}`),
	)
	r := newResources(c, telemetry.Discard())
	require.NoError(t, r.run(t.Context()))

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
	c := newCluster(t, nil)
	r := newResources(c, telemetry.Discard())
	require.NoError(t, r.run(t.Context()))
	type told struct {
		name string
		typ  operatorv1.ResourceEventType
	}
	events := make(chan told, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- r.follow(ctx, components, caller{"shop", "orders"}, func(d []byte, typ operatorv1.ResourceEventType) error {
			events <- told{object(t, string(d)).GetName(), typ}
			return nil
		})
	}()
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.followers[components]) == 1
	}, 5*time.Second, time.Millisecond)

	client := c.dynamic.Resource(gvr(components, "v1alpha1"))
	_, err := client.Namespace("elsewhere").Create(ctx, component(t, "elsewhere", "foreign", ""), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = client.Namespace("shop").Create(ctx, component(t, "shop", "store", `,"spec":{"type":"state.redis"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, told{"store", operatorv1.ResourceEventType_CREATED}, <-events)
	_, err = client.Namespace("shop").Update(ctx, component(t, "shop", "store", `,"spec":{"type":"state.redis","version":"v1"}`), metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, told{"store", operatorv1.ResourceEventType_UPDATED}, <-events)
	_, err = client.Namespace("shop").Update(ctx, component(t, "shop", "store", `,"spec":{"type":"state.redis","version":"v1"},"scopes":["other"]`), metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, told{"store", operatorv1.ResourceEventType_DELETED}, <-events, "out of scope is gone")
	cancel()
	require.NoError(t, <-done)
}

func deployment(t *testing.T, annotations string) *unstructured.Unstructured {
	t.Helper()
	return object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"shop","name":"node","uid":"u1"},
		"spec":{"selector":{"matchLabels":{"app":"node"}},"template":{"metadata":{"annotations":{`+annotations+`}}}}}`)
}

func TestServicesFollowTheWorkloads(t *testing.T) {
	c := newCluster(t, nil, deployment(t, `"dapr.io/enabled":"true","dapr.io/id":"nodeapp","dapr.io/metrics-port":"9091","dapr.io/sidecar-svc-annotations":"team=shop"`))
	p := &service.Process{Log: telemetry.Discard(), Metrics: telemetry.NewMetrics("")}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newServices(c, options{}, p).run(ctx) }()

	services := c.core.Services("shop")
	var svc *corev1.Service
	require.Eventually(t, func() bool {
		var err error
		svc, err = services.Get(ctx, "nodeapp-dapr", metav1.GetOptions{})
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

	workloads := c.dynamic.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace("shop")
	_, err := workloads.Update(ctx, deployment(t, `"dapr.io/enabled":"true","dapr.io/app-id":"renamed"`), metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := services.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 1 && list.Items[0].Name == "renamed-dapr"
	}, 5*time.Second, time.Millisecond)
	_, err = workloads.Update(ctx, deployment(t, `"dapr.io/enabled":"false"`), metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := services.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 0
	}, 5*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestAServiceOfSomebodyElseIsLeftAlone(t *testing.T) {
	c := newCluster(t, []runtime.Object{&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nodeapp-dapr"}}},
		deployment(t, `"dapr.io/enabled":"true","dapr.io/app-id":"nodeapp"`))
	s := newServices(c, options{}, &service.Process{Log: telemetry.Discard(), Metrics: telemetry.NewMetrics("")})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	require.Eventually(t, func() bool {
		for _, informer := range s.workloads {
			if !informer.HasSynced() {
				return false
			}
		}
		return s.queue.Len() == 0
	}, 5*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	svc, err := c.core.Services("shop").Get(t.Context(), "nodeapp-dapr", metav1.GetOptions{})
	require.NoError(t, err)
	require.Empty(t, svc.Spec.Ports)
}

func TestWatchdogDeletesOnlyWhatMissedItsSidecar(t *testing.T) {
	controlled := []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", UID: "1", Controller: new(true)}}
	pod := func(name string, owners []metav1.OwnerReference, annotation string, containers ...string) runtime.Object {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, OwnerReferences: owners, Annotations: map[string]string{"dapr.io/enabled": annotation}}}
		for _, c := range containers {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
		}
		return p
	}
	c := newCluster(t, []runtime.Object{
		pod("missed", controlled, "true", "app"),
		pod("fine", controlled, "true", "app", "daprd"),
		pod("plain", controlled, "false", "app"),
		pod("alone", nil, "true", "app"),
	}, object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"dapr-system","name":"dapr-sidecar-injector"},"status":{"availableReplicas":1}}`))
	w := newWatchdog(c, options{namespace: "dapr-system", restartsPerMin: 60000}, telemetry.Discard())
	require.NoError(t, w.look(t.Context()))
	pods, err := c.core.Pods("shop").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var names []string
	for _, p := range pods.Items {
		names = append(names, p.Name)
	}
	require.ElementsMatch(t, []string{"fine", "plain", "alone"}, names)
}

func TestWatchdogWaitsForTheInjector(t *testing.T) {
	c := newCluster(t, nil)
	ready, err := newWatchdog(c, options{namespace: "dapr-system"}, telemetry.Discard()).injectorReady(t.Context())
	require.NoError(t, err)
	require.False(t, ready)
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
