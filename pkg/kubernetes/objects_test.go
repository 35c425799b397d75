package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	"github.com/hyperdapr/dapr/embed"
)

func theCRDs(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	crds, err := ReadObjects(embed.CRDs())
	require.NoError(t, err)
	require.Len(t, crds, 7)
	return crds
}

// definitions is a cluster that takes CustomResourceDefinitions, says the same
// condition of each, and has one resource of every kind. The fake of the library
// does not know what it is to apply something.
func definitions(t *testing.T, condition map[string]any) *Client {
	t.Helper()
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
	crds := make(map[string]map[string]any)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, isCRD := strings.CutPrefix(r.URL.Path, path)
		crd := crds[name]
		w.Header().Set("Content-Type", "application/json")
		switch {
		case !isCRD:
			_, _ = w.Write([]byte(`{"kind":"List","apiVersion":"v1","items":[{"kind":"A","apiVersion":"dapr.io/v1alpha1","metadata":{"name":"a"}}]}`))
			return
		case r.Header.Get("Content-Type") == "application/apply-patch+yaml":
			assert.Equal(t, FieldManager, r.URL.Query().Get("fieldManager"))
			assert.Equal(t, "true", r.URL.Query().Get("force"))
			crd = nil
			assert.NoError(t, json.NewDecoder(r.Body).Decode(&crd))
			crd["status"] = map[string]any{"conditions": []any{condition}}
			if r.URL.Query().Get("dryRun") == "" {
				crds[name] = crd
			}
		case crd == nil:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
			return
		case r.Method == http.MethodPatch:
			body, _ := io.ReadAll(r.Body)
			assert.Contains(t, string(body), `"strategy":"None"`)
		case r.Method == http.MethodDelete:
			delete(crds, name)
		}
		assert.NoError(t, json.NewEncoder(w).Encode(crd))
	}))
	t.Cleanup(server.Close)
	c, err := Connect(Options{Kubeconfig: kubeconfig(t, "test", server.URL)})
	require.NoError(t, err)
	return c
}

var established = map[string]any{"type": "Established", "status": "True"}

func TestDefinitions(t *testing.T) {
	c, crds := definitions(t, established), theCRDs(t)
	plan, err := c.PlanCRDs(t.Context(), crds)
	require.NoError(t, err)
	require.Equal(t, CRDChange{Name: "components.dapr.io", Versions: []string{"v1alpha1"}, Action: Create}, plan[0])
	uses, err := c.CRDUses(t.Context(), crds)
	require.NoError(t, err)
	require.Empty(t, uses)

	require.NoError(t, c.ApplyCRDs(t.Context(), crds))
	plan, err = c.PlanCRDs(t.Context(), crds)
	require.NoError(t, err)
	for _, change := range plan {
		require.Equal(t, Keep, change.Action)
	}

	require.NoError(t, unstructured.SetNestedField(crds[0].Object, "Cluster", "spec", "scope"))
	plan, err = c.PlanCRDs(t.Context(), crds)
	require.NoError(t, err)
	require.Equal(t, Change, plan[0].Action)

	uses, err = c.CRDUses(t.Context(), crds)
	require.NoError(t, err)
	require.Len(t, uses, 7)
	require.Equal(t, CRDUse{Name: "components.dapr.io", Resources: 1}, uses[0])

	deleted, err := c.DeleteCRDs(t.Context(), []string{"components.dapr.io", "nothing.dapr.io"})
	require.NoError(t, err)
	require.Equal(t, []string{"components.dapr.io"}, deleted)
}

func TestADefinitionThatIsNotServed(t *testing.T) {
	c := definitions(t, map[string]any{"type": "NamesAccepted", "status": "False", "message": `"Component" is already in use`})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.EqualError(t, c.ApplyCRDs(ctx, theCRDs(t)[:1]), `the CustomResourceDefinition components.dapr.io is not served: "Component" is already in use`)
}

func TestSubscriptionsAreStoredInTheVersionWithoutConversion(t *testing.T) {
	for _, crd := range theCRDs(t) {
		if crd.GetName() == "subscriptions.dapr.io" {
			require.Equal(t, "v2alpha1", stored(crd).Version)
			require.Equal(t, []string{"v1alpha1", "v2alpha1"}, servedVersions(crd))
		}
	}
}

func TestReadObjects(t *testing.T) {
	objects, err := ReadObjects(fstest.MapFS{
		"a.yaml":     {Data: []byte("kind: A\n---\n\n---\nkind: B\n")},
		"b/c.yaml":   {Data: []byte("# nothing\n")},
		"readme.txt": {Data: []byte("{")},
	})
	require.NoError(t, err)
	require.Len(t, objects, 2)
	require.Equal(t, "B", objects[1].GetKind())
	_, err = ReadObjects(fstest.MapFS{"a.yaml": {Data: []byte("{")}})
	require.ErrorContains(t, err, "a.yaml: ")
}

func TestRequire(t *testing.T) {
	set := fake.NewClientset()
	var (
		mu    sync.Mutex
		asked []string
	)
	set.PrependReactor("create", "selfsubjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authv1.SelfSubjectAccessReview).DeepCopy()
		r := review.Spec.ResourceAttributes
		mu.Lock()
		asked = append(asked, r.Verb+" "+r.Resource+"/"+r.Subresource)
		mu.Unlock()
		review.Status.Allowed = r.Verb == "get"
		return true, review, nil
	})
	c := &Client{Clientset: set, target: target{context: "dev", cluster: "test", config: &rest.Config{Host: "https://test"}}}
	rights := []Right{
		{Verb: "get", Resource: "pods", Namespace: "a"}, {Verb: "get", Resource: "pods", Namespace: "a"}, {Verb: "get", Resource: "pods/log", Namespace: "a"},
	}
	require.NoError(t, c.Require(t.Context(), rights))
	slices.Sort(asked)
	require.Equal(t, []string{"get pods/", "get pods/log"}, asked, "each is asked for once")

	err := c.Require(t.Context(), append(rights,
		Right{Verb: "patch", Group: "apps", Resource: "deployments", Namespace: "a"},
		Right{Verb: "create", Group: "apps", Resource: "deployments", Namespace: "a"},
		Right{Verb: "create", Resource: "namespaces"}))
	require.EqualError(t, err, `too few rights in the cluster "test" (context "dev", https://test); ask its administrator for these, or choose another context:
  deployments.apps: create, patch in the namespace a
  namespaces: create`)

	set.PrependReactor("create", "selfsubjectaccessreviews", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no answer")
	})
	require.EqualError(t, c.Require(t.Context(), rights), "ask what the user may do: no answer")
}

func TestNamespaces(t *testing.T) {
	set := fake.NewClientset()
	c, ctx := &Client{Clientset: set}, t.Context()
	created, err := c.EnsureNamespace(ctx, "ours")
	require.NoError(t, err)
	require.True(t, created)
	created, err = c.EnsureNamespace(ctx, "ours")
	require.NoError(t, err)
	require.False(t, created)
	_, err = set.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{})
	require.NoError(t, err)

	deleted, err := c.DeleteOwnNamespace(ctx, "theirs")
	require.NoError(t, err)
	require.False(t, deleted, "it was there before")
	_, err = set.CoreV1().Pods("ours").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	deleted, err = c.DeleteOwnNamespace(ctx, "ours")
	require.NoError(t, err)
	require.False(t, deleted, "a pod is in it")
	require.NoError(t, set.CoreV1().Pods("ours").Delete(ctx, "p", metav1.DeleteOptions{}))
	deleted, err = c.DeleteOwnNamespace(ctx, "ours")
	require.NoError(t, err)
	require.True(t, deleted)
	deleted, err = c.DeleteOwnNamespace(ctx, "ours")
	require.NoError(t, err)
	require.False(t, deleted, "it is gone")
	require.NoError(t, c.DeleteNamespace(ctx, "ours"), "that it is gone is no error")
}

func TestANamespaceOnItsWayOutIsWaitedFor(t *testing.T) {
	set := fake.NewClientset()
	looks := 0
	set.PrependReactor("get", "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) {
		if looks++; looks < 3 {
			leaving := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", DeletionTimestamp: &metav1.Time{Time: time.Now()}}}
			return true, leaving, nil
		}
		return false, nil, nil
	})
	// A user who may not look at namespaces may have been given one.
	created, err := (&Client{Clientset: set}).EnsureNamespace(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, 3, looks)
}

func TestANamespaceThatMayNotBeSeen(t *testing.T) {
	set := fake.NewClientset()
	set.PrependReactor("*", "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "a", nil)
	})
	created, err := (&Client{Clientset: set}).EnsureNamespace(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, created)
}

func TestOrphan(t *testing.T) {
	wanted := int32(2)
	set := func() *appsv1.StatefulSet {
		s := &appsv1.StatefulSet{ObjectMeta: named("s")}
		s.Spec.Replicas, s.Spec.Selector = &wanted, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "s"}}
		return s
	}
	ready := corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	pod := func(name, uid string) *corev1.Pod {
		p := podOf("s", ready)
		p.Name, p.UID = name, types.UID(uid)
		return p
	}
	cluster := fake.NewClientset(set(), pod("s-10", "old"), pod("s-1", "old"), pod("s-0", "old"))
	c, ctx := &Client{Clientset: cluster}, t.Context()
	replace, err := c.Orphan(ctx, theNamespace, "s")
	require.NoError(t, err)
	var deletion k8stesting.DeleteActionImpl
	for _, action := range cluster.Actions() {
		if action.Matches("delete", "statefulsets") {
			deletion = action.(k8stesting.DeleteActionImpl)
		}
	}
	require.Equal(t, metav1.DeletePropagationOrphan, *deletion.DeleteOptions.PropagationPolicy)

	// The controller makes a pod anew when it is deleted.
	_, err = cluster.AppsV1().StatefulSets(theNamespace).Create(ctx, set(), metav1.CreateOptions{})
	require.NoError(t, err)
	var deleted []string
	cluster.PrependReactor("delete", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
		name := action.(k8stesting.DeleteAction).GetName()
		deleted = append(deleted, name)
		if name == "s-10" {
			return false, nil, nil
		}
		return true, nil, cluster.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod(name, "new"), theNamespace)
	})
	require.NoError(t, replace(ctx))
	require.Equal(t, []string{"s-0", "s-1", "s-10"}, deleted, "one after the other, and one that is too many")

	replace, err = c.Orphan(ctx, theNamespace, "none")
	require.NoError(t, err, "that it is gone is no error")
	require.NoError(t, replace(ctx))
}

func TestDeleteLease(t *testing.T) {
	set := fake.NewClientset(&coordinationv1.Lease{ObjectMeta: named("l")})
	c := &Client{Clientset: set}
	require.NoError(t, c.DeleteLease(t.Context(), theNamespace, "l"))
	left, err := set.CoordinationV1().Leases(theNamespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, left.Items)
	require.NoError(t, c.DeleteLease(t.Context(), theNamespace, "l"), "that it is gone is no error")

	set.PrependReactor("delete", "leases", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("forbidden") })
	require.EqualError(t, c.DeleteLease(t.Context(), theNamespace, "l"), "delete the lease l: forbidden")
}

func TestSidecarImages(t *testing.T) {
	injected := func(name, namespace string, spec corev1.PodSpec) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"dapr.io/sidecar-injected": "true"}}, Spec: spec}
	}
	daprd := func(image string) []corev1.Container { return []corev1.Container{{Name: "daprd", Image: image}} }
	set := fake.NewClientset(
		injected("a", "x", corev1.PodSpec{Containers: append(daprd("dapr:1"), corev1.Container{Name: "app", Image: "app"})}),
		injected("b", "y", corev1.PodSpec{Containers: daprd("dapr:1")}),
		injected("native", "y", corev1.PodSpec{InitContainers: daprd("dapr:2")}),
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, Spec: corev1.PodSpec{Containers: daprd("dapr:3")}},
	)
	images, err := (&Client{Clientset: set}).SidecarImages(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int{"dapr:1": 2, "dapr:2": 1}, images)
}

func TestKeepTrust(t *testing.T) {
	set := fake.NewClientset(
		&corev1.Secret{ObjectMeta: named(trustBundle), Data: map[string][]byte{"ca.crt": []byte("renewed")}},
		&corev1.ConfigMap{ObjectMeta: named(trustBundle), Data: map[string]string{"ca.crt": "renewed"}},
	)
	c, ctx := &Client{Clientset: set}, t.Context()
	restore, err := c.KeepTrust(ctx, theNamespace)
	require.NoError(t, err)
	require.NoError(t, restore(ctx))
	for _, action := range set.Actions() {
		require.NotEqual(t, "update", action.GetVerb(), "nothing was changed")
	}

	_, err = set.CoreV1().Secrets(theNamespace).Update(ctx, &corev1.Secret{ObjectMeta: named(trustBundle), Data: map[string][]byte{"ca.crt": []byte("old")}}, metav1.UpdateOptions{})
	require.NoError(t, err)
	_, err = set.CoreV1().ConfigMaps(theNamespace).Update(ctx, &corev1.ConfigMap{ObjectMeta: named(trustBundle), Data: map[string]string{"ca.crt": "old"}}, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, restore(ctx))
	secret, err := set.CoreV1().Secrets(theNamespace).Get(ctx, trustBundle, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "renewed", string(secret.Data["ca.crt"]))
	public, err := set.CoreV1().ConfigMaps(theNamespace).Get(ctx, trustBundle, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "renewed", public.Data["ca.crt"])
}
