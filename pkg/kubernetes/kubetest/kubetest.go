// Package kubetest is an API server that keeps Deployments, Services, Pods and
// Configurations, for tests without a cluster.
package kubetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Server is the API server. Its fields are set before it is used.
type Server struct {
	// Kubeconfig is a file that leads to the server, and URL its address.
	Kubeconfig, URL string
	// Forbidden is the path of the object that nobody may delete.
	Forbidden string
	// Applied is called when an object was applied, with a function that adds
	// others, such as its pods, by their paths.
	Applied func(o *unstructured.Unstructured, add func(path string, o *unstructured.Unstructured))
	// Log is what every pod has printed; it is followed for ever.
	Log string

	t       *testing.T
	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured
	// going were deleted and are to be seen once more, as pods that take time.
	going map[string]bool
}

// kinds of each version of an API group.
var kinds = map[string][]metav1.APIResource{
	"v1":               {{Name: "services", Kind: "Service", Namespaced: true}, {Name: "pods", Kind: "Pod", Namespaced: true}},
	"apps/v1":          {{Name: "deployments", Kind: "Deployment", Namespaced: true}, {Name: "statefulsets", Kind: "StatefulSet", Namespaced: true}},
	"dapr.io/v1alpha1": {{Name: "configurations", Kind: "Configuration", Namespaced: true}},
}

// New starts a server with empty objects at the given paths, such as
// "/api/v1/namespaces/default/services/web". It is stopped with the test.
func New(t *testing.T, paths ...string) *Server {
	t.Helper()
	s := &Server{t: t, objects: make(map[string]*unstructured.Unstructured), going: make(map[string]bool)}
	for _, path := range paths {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Any"}}
		o.SetName(path[strings.LastIndex(path, "/")+1:])
		s.objects[path] = o
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	s.Kubeconfig = filepath.Join(t.TempDir(), "config")
	err := clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{"test": {Server: server.URL}},
		Contexts:       map[string]*api.Context{"test": {Cluster: "test"}},
		CurrentContext: "test",
	}, s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Paths are those of the objects that are there, sorted.
func (s *Server) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var paths []string
	for path := range s.objects {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// Remove takes an object away.
func (s *Server) Remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, path)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/log") {
		_, _ = io.WriteString(w, s.Log)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	code, body := s.answer(r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	s.check(json.NewEncoder(w).Encode(body))
}

// check makes the test fail, from whatever goroutine.
func (s *Server) check(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

func (s *Server) answer(r *http.Request) (code int, body any) {
	path := r.URL.Path
	switch path {
	case "/version":
		return http.StatusOK, map[string]string{"gitVersion": "v1.33.0"}
	case "/api":
		return http.StatusOK, metav1.APIVersions{Versions: []string{"v1"}}
	case "/apis":
		return http.StatusOK, groups()
	}
	version := strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")
	if known := kinds[version]; known != nil {
		return http.StatusOK, metav1.APIResourceList{GroupVersion: version, APIResources: known}
	}
	for version, known := range kinds {
		for _, kind := range known {
			if strings.HasSuffix(path, "/"+kind.Name) {
				items := s.list(path, r.URL.Query().Get("labelSelector"))
				return http.StatusOK, map[string]any{"apiVersion": version, "kind": kind.Kind + "List", "items": items}
			}
		}
	}
	if r.Method == http.MethodPatch {
		return http.StatusOK, s.apply(r)
	}
	return s.one(r)
}

func groups() (all metav1.APIGroupList) {
	for _, version := range []string{"apps/v1", "dapr.io/v1alpha1"} {
		name, short, _ := strings.Cut(version, "/")
		v := metav1.GroupVersionForDiscovery{GroupVersion: version, Version: short}
		all.Groups = append(all.Groups, metav1.APIGroup{Name: name, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
	}
	return all
}

func (s *Server) list(path, selector string) []any {
	wanted, err := labels.Parse(selector)
	s.check(err)
	items := []any{}
	for of, o := range s.objects {
		if strings.HasPrefix(of, path+"/") && wanted.Matches(labels.Set(o.GetLabels())) {
			items = append(items, o.Object)
		}
	}
	return items
}

func (s *Server) apply(r *http.Request) any {
	if got := r.Header.Get("Content-Type"); got != "application/apply-patch+yaml" {
		s.t.Errorf("%s is patched with %s", r.URL.Path, got)
	}
	o := &unstructured.Unstructured{}
	s.check(json.NewDecoder(r.Body).Decode(&o.Object))
	s.objects[r.URL.Path] = o
	if s.Applied != nil {
		s.Applied(o, func(path string, more *unstructured.Unstructured) { s.objects[path] = more })
	}
	return o.Object
}

func (s *Server) one(r *http.Request) (code int, body any) {
	path := r.URL.Path
	o := s.objects[path]
	switch {
	case o == nil:
		return refuse(http.StatusNotFound, metav1.StatusReasonNotFound, "not found")
	case r.Method == http.MethodDelete && path == s.Forbidden:
		return refuse(http.StatusForbidden, metav1.StatusReasonForbidden, "you may not")
	case r.Method == http.MethodDelete:
		var options metav1.DeleteOptions
		s.check(json.NewDecoder(r.Body).Decode(&options))
		if got := options.PropagationPolicy; got == nil || *got != metav1.DeletePropagationForeground {
			s.t.Errorf("%s is not deleted in the foreground", path)
		}
		s.going[path] = true
	case s.going[path]:
		delete(s.objects, path)
	}
	return http.StatusOK, o.Object
}

func refuse(code int, reason metav1.StatusReason, message string) (status int, body any) {
	return code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Reason: reason, Message: message, Code: int32(code),
	}
}
