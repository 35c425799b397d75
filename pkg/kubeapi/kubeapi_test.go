package kubeapi_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/kubeapi/kubeapitest"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

const configMaps = "/api/v1/namespaces/shop/configmaps"

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "me"}}},
		Data:       map[string]string{"k": value},
	}
}

func TestReadAndWrite(t *testing.T) {
	s := kubeapitest.Start(t)
	all := kubeapi.Of[corev1.ConfigMap](s.Client(), "", "v1", "configmaps")
	ctx := t.Context()

	_, err := all.Get(ctx, "shop", "a")
	require.True(t, apierrors.IsNotFound(err), "%v", err)
	made, err := all.Create(ctx, "shop", configMap("a", "1"))
	require.NoError(t, err)
	require.NotEmpty(t, made.ResourceVersion)
	_, err = all.Create(ctx, "shop", configMap("a", "1"))
	require.True(t, apierrors.IsAlreadyExists(err), "%v", err)

	made.Data["k"] = "2"
	updated, err := all.Update(ctx, "shop", "a", made)
	require.NoError(t, err)
	require.NotEqual(t, made.ResourceVersion, updated.ResourceVersion)
	_, err = all.Update(ctx, "shop", "a", made)
	require.True(t, apierrors.IsConflict(err), "somebody else's change is not overwritten: %v", err)

	patched, err := all.Patch(ctx, "shop", "a", types.MergePatchType, []byte(`{"data":{"l":"3"}}`))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "2", "l": "3"}, patched.Data)
	require.NoError(t, all.Delete(ctx, "shop", "a"))
	require.True(t, apierrors.IsNotFound(all.Delete(ctx, "shop", "a")))

	s.Answer(http.MethodGet, configMaps+"/a", kubeapitest.Refuse(http.StatusForbidden, metav1.StatusReasonForbidden, "no rights"))
	_, err = all.Get(ctx, "shop", "a")
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	require.ErrorContains(t, err, "no rights")
}

func TestListInPages(t *testing.T) {
	s := kubeapitest.Start(t)
	for i := range 5 {
		s.Add(configMaps, configMap(fmt.Sprintf("m%d", i), "x"))
	}
	s.Add("/api/v1/namespaces/other/configmaps", configMap("m9", "x"))
	all := kubeapi.Of[metav1.PartialObjectMetadata](s.Client(), "", "v1", "configmaps")
	var names []string
	options := metav1.ListOptions{Limit: 2}
	for {
		page, err := all.List(t.Context(), "", options)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Items), 2)
		for i := range page.Items {
			names = append(names, page.Items[i].Namespace+"/"+page.Items[i].Name)
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	require.Equal(t, []string{"other/m9", "shop/m0", "shop/m1", "shop/m2", "shop/m3", "shop/m4"}, names)

	for _, one := range []func() (*kubeapi.List[metav1.PartialObjectMetadata], error){
		func() (*kubeapi.List[metav1.PartialObjectMetadata], error) {
			return all.List(t.Context(), "shop", metav1.ListOptions{LabelSelector: "app=m3"})
		},
		func() (*kubeapi.List[metav1.PartialObjectMetadata], error) {
			return all.Where("app=m3").List(t.Context(), "shop", metav1.ListOptions{})
		},
	} {
		page, err := one()
		require.NoError(t, err)
		require.Len(t, page.Items, 1)
		require.Equal(t, "m3", page.Items[0].Name)
	}

	for _, text := range []string{``, `[]`, `{"items":{}}`, `{"items":[`, `{"items":[1]}`} {
		s.Answer(http.MethodGet, configMaps, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
		_, err := all.List(t.Context(), "shop", metav1.ListOptions{})
		require.ErrorContains(t, err, "read the list of configmaps", "%q", text)
	}
	s.Answer(http.MethodGet, configMaps, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items":null,"more":[{}]}`) })
	page, err := all.List(t.Context(), "shop", metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, page.Items)
}

func TestInformerFollows(t *testing.T) {
	s := kubeapitest.Start(t)
	s.Add(configMaps, configMap("a", "1"))
	all := kubeapi.Of[corev1.ConfigMap](s.Client(), "", "v1", "configmaps")
	informer := kubeapi.Informer(all, "", 0, telemetry.Discard(), func(m *corev1.ConfigMap) { m.Labels = nil })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		informer.RunWithContext(ctx)
		close(ended)
	}()
	holds := func(want map[string]string) {
		t.Helper()
		require.Eventually(t, func() bool {
			items, _ := informer.GetIndexer().ByIndex("namespace", "shop")
			have := map[string]string{}
			for _, i := range items {
				m := i.(*corev1.ConfigMap)
				if m.ManagedFields != nil || m.Labels != nil {
					return false
				}
				have[m.Name] = m.Data["k"]
			}
			return fmt.Sprint(want) == fmt.Sprint(have)
		}, 10*time.Second, 5*time.Millisecond)
	}
	holds(map[string]string{"a": "1"})
	_, err := all.Create(ctx, "shop", configMap("b", "2"))
	require.NoError(t, err)
	holds(map[string]string{"a": "1", "b": "2"})
	_, err = all.Patch(ctx, "shop", "a", types.MergePatchType, []byte(`{"data":{"k":"3"}}`))
	require.NoError(t, err)
	require.NoError(t, all.Delete(ctx, "shop", "b"))
	holds(map[string]string{"a": "3"})
	cancel()
	<-ended
}

func TestConfig(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := kubeapi.Config("", "")
	require.ErrorContains(t, err, "--kubeconfig is missing, and this is no pod")
	missing := filepath.Join(t.TempDir(), "none")
	for _, c := range [][2]string{{missing, ""}, {"", missing}} {
		_, err = kubeapi.Config(c[0], c[1])
		require.ErrorContains(t, err, "--kubeconfig \""+missing+"\" cannot be used, name another file")
	}
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte(`{"clusters":[{"name":"c","cluster":{"server":"https://c"}}],"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`), 0o600))
	for _, c := range [][2]string{{file, missing}, {"", file}} {
		config, err := kubeapi.Config(c[0], c[1])
		require.NoError(t, err)
		require.Equal(t, "https://c", config.Host)
	}
}
