package manifest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/inject"
)

func parse(t *testing.T, text string) []*Document {
	t.Helper()
	docs, err := Parse("app.yaml", []byte(text))
	require.NoError(t, err)
	return docs
}

func joined(t *testing.T, docs []*Document) string {
	t.Helper()
	text, err := Join(docs)
	require.NoError(t, err)
	return string(text)
}

func objects(docs []*Document) (out []string) {
	for _, d := range docs {
		for _, o := range d.Objects() {
			out = append(out, o.String())
		}
	}
	return out
}

func TestDocuments(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		objects          []string
	}{
		{"one", "kind: A\nmetadata: {name: a}", "kind: A\nmetadata: {name: a}\n", []string{"A a (app.yaml)"}},
		{
			"several, strangely written", "# first\n---\nkind:   'A'   # why\n\n---\n\n--- # third\nkind: B\r\n---\nkind: C\ntext: |\n  ---\n  x: ---\n",
			"# first\n---\nkind:   'A'   # why\n\n---\n# third\nkind: B\r\n---\nkind: C\ntext: |\n  ---\n  x: ---\n",
			[]string{"A without a name (app.yaml, document 2)", "B without a name (app.yaml, document 3)", "C without a name (app.yaml, document 4)"},
		},
		{"JSON", `{"kind":"A","metadata":{"generateName":"a-"}}`, `{"kind":"A","metadata":{"generateName":"a-"}}` + "\n", []string{"A a- (app.yaml)"}},
		{"a list", "kind: List\nitems:\n- kind: A\n- kind: ListList\n  items: [{kind: B}]\n", "kind: List\nitems:\n- kind: A\n- kind: ListList\n  items: [{kind: B}]\n",
			[]string{"A without a name (app.yaml)", "B without a name (app.yaml)"}},
		{"something else", "- 1\n", "- 1\n", nil},
		{"nothing", "\n---\n \n", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			docs := parse(t, tt.text)
			require.Equal(t, tt.objects, objects(docs))
			require.Equal(t, tt.want, joined(t, docs))
		})
	}
	_, err := Parse("app.yaml", []byte("kind: A\n---\nkind: [\n"))
	require.ErrorContains(t, err, "app.yaml, document 2: ")
}

func TestAChangeKeepsTheRest(t *testing.T) {
	docs := parse(t, `# about the service
kind: Service
metadata:   {name: node}
---
# about the app
kind: Deployment # of Node
metadata:
  name: node
  namespace: shop
spec:
  replicas: 1 # one is enough
  template:
    metadata:
      labels: {app: node}
    spec:
      containers:
        - name: node # the app
          image: "node:1"
`)
	o := docs[1].Objects()[0]
	require.NoError(t, o.Annotate("dapr.io/app-port", "3000"))
	require.NoError(t, o.Patch(inject.Patch{
		{Op: "add", Path: "/metadata/labels/dapr.io~1injected", Value: "true"},
		{Op: "add", Path: "/spec/containers/0/env", Value: []map[string]string{{"name": "A", "value": "1"}}},
		{Op: "add", Path: "/spec/containers/-", Value: map[string]any{"name": "daprd", "args": []string{"--a", "-1"}, "text": "two\nlines\n"}},
		{Op: "add", Path: "/spec/containers/1/args/-", Value: "last"},
	}))
	require.Equal(t, `# about the service
kind: Service
metadata:   {name: node}
---
# about the app
kind: Deployment # of Node
metadata:
  name: node
  namespace: shop
spec:
  replicas: 1 # one is enough
  template:
    metadata:
      labels: {app: node, dapr.io/injected: "true"}
      annotations:
        dapr.io/app-port: "3000"
    spec:
      containers:
        - name: node # the app
          image: "node:1"
          env:
            - name: A
              value: "1"
        - args:
            - --a
            - "-1"
            - last
          name: daprd
          text: |
            two
            lines
`, joined(t, docs))
}

func TestListsStandAsTheyStood(t *testing.T) {
	for text, want := range map[string]string{
		"kind: Pod\nspec:\n  containers: # all\n\n  # one\n  - name: a\n    ports:\n    - 1\n": "    ports:\n    - 1\n",
		"kind: Pod\nspec:\n  containers:\n    - name: a\n      ports:\n        - 1\n":          "      ports:\n        - 1\n",
		"kind: List\nitems:\n- kind: Pod\n  spec:\n    containers:\n    - name: a\n":           "\n    containers:\n    - name: a\n",
		"kind: Pod\nspec:\n  containers: [{name: a}]\n  volumes: []\n":                         "  volumes: []\n",
	} {
		docs := parse(t, text)
		require.NoError(t, docs[0].Objects()[0].Annotate("a", "1"))
		require.Contains(t, joined(t, docs), want)
	}
}

// Kubernetes reads an older YAML, in which more words are no texts.
func TestTextsStayTexts(t *testing.T) {
	for _, value := range []string{"on", "y", "No", "null", "~", "1", "1e3", "0x1", "0o7", "012", "1:30", "2020-01-01", "", " a ", "a: b", "#", "- a", "<<", "=", "two\nlines", "\u2028"} {
		docs := parse(t, "kind: Pod\n")
		require.NoError(t, docs[0].Objects()[0].Annotate("key", value))
		pod, err := parse(t, joined(t, docs))[0].Objects()[0].Pod()
		require.NoError(t, err, value)
		require.Equal(t, value, pod.Annotations["key"])
	}
}

func TestAliasesAndMergesStayAsTheyAreElsewhere(t *testing.T) {
	docs := parse(t, `kind: List
items:
- kind: Deployment
  spec:
    template: &pod
      metadata: {annotations: &all {team: web}}
- kind: Job
  spec: {template: *pod}
- kind: Job
  spec:
    template:
      metadata:
        annotations: {<<: *all, mine: "1"}
- kind: Pod
  metadata:
    annotations:
`)
	all := docs[0].Objects()
	require.Len(t, all, 4)
	for _, o := range all[1:] {
		require.NoError(t, o.Annotate("a", "1"))
	}
	again := parse(t, joined(t, docs))[0].Objects()
	for i, want := range []map[string]string{
		{"team": "web"}, {"team": "web", "a": "1"}, {"team": "web", "mine": "1", "a": "1"}, {"a": "1"},
	} {
		pod, err := again[i].Pod()
		require.NoError(t, err)
		require.Equal(t, want, pod.Annotations, i)
	}
}

func TestPods(t *testing.T) {
	for _, kind := range PodKinds() {
		text := "kind: " + kind + "\nmetadata: {name: a, namespace: shop}\n"
		for i, key := range templates[kind] {
			text += strings.Repeat("  ", i) + key + ":\n"
		}
		indent := strings.Repeat("  ", len(templates[kind]))
		if kind != "Pod" {
			text += indent + "metadata: {labels: {app: x}}\n"
		}
		text += indent + "spec: {containers: [{name: c}]}\n"
		o := parse(t, text)[0].Objects()[0]
		require.True(t, o.HasPod())
		pod, err := o.Pod()
		require.NoError(t, err, kind)
		require.Equal(t, "shop", pod.Namespace)
		require.Equal(t, "c", pod.Spec.Containers[0].Name)
		require.Equal(t, kind == "Pod", pod.Name == "a", "a template has no name")
	}
	require.False(t, parse(t, "kind: Service\n")[0].Objects()[0].HasPod())

	for text, want := range map[string]string{
		"kind: Deployment\nmetadata: {name: a}\n":                        "Deployment a (app.yaml): there is no spec.template",
		"kind: Pod\nmetadata: {annotations: {dapr.io/enabled: true}}\n":  `annotation dapr.io/enabled is true, which is no text: write "true", with quotes`,
		"kind: Pod\nmetadata: {annotations: {dapr.io/app-port: 3000}}\n": `annotation dapr.io/app-port is 3000, which is no text: write "3000", with quotes`,
		"kind: Pod\nspec: {containers: 1}\n":                             "Pod without a name (app.yaml): json: cannot unmarshal number",
	} {
		_, err := parse(t, text)[0].Objects()[0].Pod()
		require.ErrorContains(t, err, want)
	}
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.yaml": "kind: B\n", "sub/c.yml": "kind: C\n---\nkind: D\n", "a.json": `{"kind":"A"}`, "README.md": "#", "empty.yaml": ""} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/app.yaml" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("kind: U\n"))
	}))
	defer server.Close()

	for source, want := range map[string]string{
		"-": "kind: S\n", dir: `{"kind":"A"}` + "\n---\nkind: B\n---\nkind: C\n---\nkind: D\n",
		filepath.Join(dir, "b.yaml"): "kind: B\n", server.URL + "/app.yaml": "kind: U\n",
	} {
		docs, err := Read(t.Context(), source, strings.NewReader("kind: S\n"))
		require.NoError(t, err)
		require.Equal(t, want, joined(t, docs))
	}
	for source, want := range map[string]string{
		"-":                              "standard input is empty",
		filepath.Join(dir, "none.yaml"):  "there is no file " + filepath.Join(dir, "none.yaml"),
		filepath.Join(dir, "empty.yaml"): "empty.yaml is empty",
		t.TempDir():                      "has no manifest",
		server.URL + "/other":            "/other answers 404 Not Found",
	} {
		_, err := Read(t.Context(), source, strings.NewReader(""))
		require.ErrorContains(t, err, want)
	}
}
