// Package kubeapitest is an API server for tests: it keeps objects of any kind
// in memory, and reads, writes, lists and watches them as a real one does.
// Nothing is checked, filled in or collected, and there are no rights.
package kubeapitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	"github.com/hyperdapr/dapr/pkg/kubeapi"
)

// Server is an API server until the test ends.
type Server struct {
	t    testing.TB
	http *httptest.Server

	mu       sync.Mutex
	version  int
	objects  map[place]*unstructured.Unstructured
	events   []event
	happened chan struct{} // closed, and replaced, by every event
	answers  map[string]http.HandlerFunc
}

// place is where the API has an object, or with an empty name a whole kind.
type place struct{ kind, namespace, name string }

type event struct {
	Type    string `json:"type"`
	version int
	place   place
	Object  *unstructured.Unstructured `json:"object"`
}

// Start starts a server without objects.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		t: t, objects: make(map[place]*unstructured.Unstructured),
		happened: make(chan struct{}), answers: make(map[string]http.HandlerFunc),
	}
	s.http = httptest.NewServer(s)
	t.Cleanup(func() {
		s.http.CloseClientConnections() // watches do not end by themselves
		s.http.Close()
	})
	return s
}

// Config is the way to the server.
func (s *Server) Config() *rest.Config { return &rest.Config{Host: s.http.URL} }

// Client returns a client of the server.
func (s *Server) Client() *kubeapi.Client {
	s.t.Helper()
	c, err := kubeapi.New(s.Config())
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Add makes an object at a path of its kind, such as
// /apis/apps/v1/namespaces/shop/deployments.
func (s *Server) Add(path string, object any) {
	s.t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		s.t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if code, answer := s.create(parse(path), &unstructured.Unstructured{Object: fields}); code != http.StatusCreated {
		s.t.Fatalf("%s: %v", data, answer)
	}
}

// Answer has a handler answer the requests of a method to a path, as Refuse
// does; nil takes it away again.
func (s *Server) Answer(method, path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[method+" "+path] = h
}

// Refuse returns a handler that answers with an error.
func Refuse(code int, reason metav1.StatusReason, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, code, failure(code, reason, message)) }
}

func failure(code int, reason metav1.StatusReason, message string) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	}
}

func write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client sees it
}

// parse reads a path of the API: /api/VERSION or /apis/GROUP/VERSION, then the
// namespace if any, the kind and the object's name if any.
func parse(path string) place {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	skip := 2
	if parts[0] == "apis" {
		skip = 3
	}
	p := place{kind: strings.Join(parts[:min(skip, len(parts))], "/")}
	parts = parts[min(skip, len(parts)):]
	if len(parts) > 2 && parts[0] == "namespaces" {
		p.namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 0 {
		p.kind += "/" + parts[0]
	}
	if len(parts) > 1 {
		p.name = parts[1]
	}
	return p
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer := s.answers[r.Method+" "+r.URL.Path]
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	p := parse(r.URL.Path)
	if r.URL.Query().Get("watch") == "true" {
		s.watch(w, r, p)
		return
	}
	sent := &unstructured.Unstructured{}
	if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		if err := json.NewDecoder(r.Body).Decode(&sent.Object); err != nil {
			write(w, http.StatusBadRequest, failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error()))
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	code, answered := s.serve(r, p, sent)
	write(w, code, answered)
}

func (s *Server) serve(r *http.Request, p place, sent *unstructured.Unstructured) (int, any) {
	if r.Method == http.MethodPost {
		return s.create(p, sent)
	}
	if p.name == "" {
		return s.list(r, p)
	}
	have := s.objects[p]
	if have == nil {
		return http.StatusNotFound, failure(http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", p.kind, p.name))
	}
	switch r.Method {
	case http.MethodGet:
		return http.StatusOK, have
	case http.MethodDelete:
		delete(s.objects, p)
		s.record("DELETED", p, have.DeepCopy())
		return http.StatusOK, have
	case http.MethodPatch:
		changed := have.DeepCopy()
		merge(changed.Object, sent.Object)
		sent = changed
	case http.MethodPut:
		if v := sent.GetResourceVersion(); v != "" && v != have.GetResourceVersion() {
			return http.StatusConflict, failure(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf("%s %q has changed", p.kind, p.name))
		}
		sent.SetUID(have.GetUID())
	}
	sent.SetName(p.name)
	sent.SetNamespace(p.namespace)
	s.objects[p] = sent
	s.record("MODIFIED", p, sent)
	return http.StatusOK, sent
}

func (s *Server) create(p place, o *unstructured.Unstructured) (int, any) {
	p.name = o.GetName()
	if s.objects[p] != nil {
		return http.StatusConflict, failure(http.StatusConflict, metav1.StatusReasonAlreadyExists, fmt.Sprintf("%s %q already exists", p.kind, p.name))
	}
	o.SetNamespace(p.namespace)
	s.objects[p] = o
	s.record("ADDED", p, o)
	return http.StatusCreated, o
}

// record gives the object its new version. Objects are replaced, never changed,
// once they are recorded.
func (s *Server) record(what string, p place, o *unstructured.Unstructured) {
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.events = append(s.events, event{what, s.version, p, o})
	close(s.happened)
	s.happened = make(chan struct{})
}

// list answers in pages when the client asks for them: the token to go on with
// is how many objects it has seen.
func (s *Server) list(r *http.Request, p place) (int, any) {
	q := r.URL.Query()
	selector, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		return http.StatusBadRequest, failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}
	items := []*unstructured.Unstructured{}
	for _, at := range slices.SortedFunc(maps.Keys(s.objects), func(a, b place) int {
		return strings.Compare(a.namespace+"/"+a.name, b.namespace+"/"+b.name)
	}) {
		if o := s.objects[at]; p.holds(at) && selector.Matches(labels.Set(o.GetLabels())) {
			items = append(items, o)
		}
	}
	metadata := map[string]any{"resourceVersion": strconv.Itoa(s.version)}
	seen, _ := strconv.Atoi(q.Get("continue"))
	items = items[min(seen, len(items)):]
	if limit, _ := strconv.Atoi(q.Get("limit")); limit > 0 && limit < len(items) && q.Get("resourceVersion") != "0" {
		metadata["continue"] = strconv.Itoa(seen + limit)
		items = items[:limit]
	}
	return http.StatusOK, map[string]any{"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}
}

// holds tells whether an object is among those of a kind and namespace.
func (p place) holds(o place) bool {
	return p.kind == o.kind && (p.namespace == "" || p.namespace == o.namespace)
}

// watch sends what has happened since the version that the client knows, until
// it leaves.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, p place) {
	since, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		write(w, http.StatusBadRequest, failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, "resourceVersion: "+err.Error()))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w)
	for {
		s.mu.Lock()
		happened := s.happened
		var news []event
		for _, e := range s.events {
			if e.version > since && p.holds(e.place) {
				news = append(news, e)
			}
		}
		since = s.version
		s.mu.Unlock()
		for _, e := range news {
			if json.NewEncoder(w).Encode(e) != nil {
				return
			}
		}
		if flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-happened:
		}
	}
}

// merge changes an object as a merge patch says.
func merge(into, patch map[string]any) {
	for k, v := range patch {
		below, isMap := v.(map[string]any)
		have, wasMap := into[k].(map[string]any)
		switch {
		case v == nil:
			delete(into, k)
		case isMap && wasMap:
			merge(have, below)
		case isMap:
			fresh := map[string]any{}
			merge(fresh, below)
			into[k] = fresh
		default:
			into[k] = v
		}
	}
}
