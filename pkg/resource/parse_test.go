package resource

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// componentText is a document whose spec is the argument, from line 6 on.
func componentText(spec string) string {
	return "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: statestore\nspec:\n" + spec
}

func TestParseNamesEveryMistake(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"typo in a field": {
			componentText("  type: state.redis\n  metdata: []\n"),
			[]string{"f.yaml:7: spec.metdata: unknown field; did you mean metadata?"},
		},
		"typo deep inside": {
			componentText("  type: state.redis\n  metadata:\n  - name: a\n    valeu: 1\n"),
			[]string{"f.yaml:9: spec.metadata[0].valeu: unknown field; did you mean value?"},
		},
		"a field of the top inside spec": {
			componentText("  type: state.redis\n  scopes: [a]\n"),
			[]string{"f.yaml:7: spec.scopes: unknown field; did you mean the top-level scopes, beside spec?"},
		},
		"other case": {
			componentText("  Type: state.redis\n"),
			[]string{"f.yaml:6: spec.Type: unknown field; did you mean type?"},
		},
		"nothing near": {
			componentText("  type: state.redis\n  replicas: 3\n"),
			[]string{"f.yaml:7: spec.replicas: unknown field"},
		},
		"all mistakes at once": {
			componentText("  type: state.redis\n  version: 1\n  ignoreErrors: \"true\"\n  metadata: {}\n  initTimeout: 5\n"),
			[]string{
				"f.yaml:7: spec.version: want a string, got a number; put it in quotes",
				"f.yaml:8: spec.ignoreErrors: want true or false, got a string; remove the quotes",
				"f.yaml:9: spec.metadata: want a list, got a mapping",
				`f.yaml:10: spec.initTimeout: "5" is not a duration such as "30s" or "1m30s"`,
			},
		},
		"no type": {
			componentText("  version: v1\n"),
			[]string{"f.yaml:5: spec.type: missing"},
		},
		"type without driver": {
			componentText("  type: redis\n"),
			[]string{`f.yaml:6: spec.type: "redis" is not "category.driver", such as "state.redis"`},
		},
		"type of an unknown category": {
			componentText("  type: stat.redis\n"),
			[]string{`f.yaml:6: spec.type: unknown category "stat"; did you mean state?`},
		},
		"middleware without http": {
			componentText("  type: middleware.cors\n"),
			[]string{`f.yaml:6: spec.type: unknown category "middleware"; known are bindings, configuration, conversation, ` +
				`crypto, lock, middleware.http, nameresolution, pubsub, secretstores, state, workflow`},
		},
		"no time to start": {
			componentText("  type: state.redis\n  initTimeout: 0s\n"),
			[]string{`f.yaml:7: spec.initTimeout: want more than 0, such as "5s"`},
		},
		"metadata without names": {
			componentText("  type: state.redis\n  metadata:\n  - value: a\n  - name: b\n    secretKeyRef:\n      key: c\n"),
			[]string{
				"f.yaml:8: spec.metadata[0].name: missing",
				"f.yaml:10: spec.metadata[1].secretKeyRef.name: missing",
			},
		},
		"the same metadata twice": {
			componentText("  type: state.redis\n  metadata:\n  - name: a\n    value: secret1\n  - name: a\n    value: secret2\n"),
			[]string{`f.yaml:10: spec.metadata[1].name: "a" is there already, at line 8`},
		},
		"a field twice": {
			componentText("  type: state.redis\n  type: state.sqlite\n"),
			[]string{`f.yaml:7: mapping key "type" already defined at line 6`},
		},
		"no name": {
			"apiVersion: dapr.io/v1alpha1\nkind: Component\nspec:\n  type: state.redis\n",
			[]string{"f.yaml:1: metadata.name: missing"},
		},
		"metadata is not a mapping": {
			"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: statestore\nspec:\n  type: state.redis\n",
			[]string{"f.yaml:3: metadata: want a mapping, got a string"},
		},
		"a mistyped name is not also missing": {
			"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  nmae: statestore\nspec:\n  type: state.redis\n",
			[]string{"f.yaml:4: metadata.nmae: unknown field; did you mean name?"},
		},
		"unknown kind": {
			"\napiVersion: dapr.io/v1alpha1\nkind: Compnent\n",
			[]string{`f.yaml:3: kind: unknown kind "Compnent"; did you mean Component?`},
		},
		"no kind": {
			"apiVersion: dapr.io/v1alpha1\nknd: Component\n",
			[]string{"f.yaml:1: kind: missing; one of Component, Configuration, HTTPEndpoint, MCPServer, Resiliency, Subscription, WorkflowAccessPolicy"},
		},
		"unknown version": {
			"apiVersion: dapr.io/v1\nkind: Subscription\n",
			[]string{`f.yaml:1: apiVersion: unknown version "v1" of Subscription; want dapr.io/v1alpha1 or dapr.io/v2alpha1`},
		},
		"mistyped group": {
			"apiVersion: dpar.io/v1alpha1\nkind: Component\n",
			[]string{`f.yaml:1: apiVersion: unknown group "dpar.io"; did you mean dapr.io/v1alpha1?`},
		},
		"no group": {
			"kind: Component\n",
			[]string{"f.yaml:1: apiVersion: missing; a Component has dapr.io/v1alpha1"},
		},
		"endpoint": {
			"apiVersion: dapr.io/v1alpha1\nkind: HTTPEndpoint\nmetadata: {name: e}\nspec:\n  baseUrl: api.example.com\n  clientTLS:\n    renegotiation: Nevr\n",
			[]string{
				`f.yaml:5: spec.baseUrl: "api.example.com" is not a URL such as "https://api.example.com"`,
				`f.yaml:7: spec.clientTLS.renegotiation: "Nevr" is not one of Never, OnceAsClient, FreelyAsClient; did you mean Never?`,
			},
		},
		"subscription": {
			"apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: s}\nspec:\n  topic: t\n",
			[]string{"f.yaml:4: spec.pubsubname: missing"},
		},
		"subscription in the other version's form": {
			"apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: s}\nspec:\n  topic: t\n  pubsubname: p\n  routes: {default: /}\n",
			[]string{"f.yaml:7: spec.routes: unknown field; did you mean route?"},
		},
		"resiliency": {
			"apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: r}\nspec:\n  policies:\n    retries:\n      a:\n        policy: linear\n        maxRetries: many\n    timeouts:\n      b: 5\n",
			[]string{
				`f.yaml:8: spec.policies.retries.a.policy: "linear" is not one of constant, exponential`,
				"f.yaml:9: spec.policies.retries.a.maxRetries: want a whole number, got a string",
				`f.yaml:11: spec.policies.timeouts.b: "5" is not a duration such as "30s" or "1m30s"`,
			},
		},
		"spec is missing": {
			"apiVersion: dapr.io/v1alpha1\nkind: MCPServer\nmetadata: {name: m}\n",
			[]string{"f.yaml:1: spec: missing"},
		},
		"an alias that contains itself": {
			"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: &a\n  labels: *a\n",
			[]string{"f.yaml: invalid YAML, here or just below: anchor 'a' value contains itself"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			good, err := Parse("f.yaml", []byte(tt.text))
			assert.Empty(t, good)
			require.Error(t, err)
			assert.Equal(t, tt.want, strings.Split(err.Error(), "\n"))
			var typed *Error
			require.ErrorAs(t, err, &typed)
			assert.Equal(t, "f.yaml", typed.File)
		})
	}
}

func TestParseIgnoresForeignDocuments(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":              "",
		"comments and markers": "%YAML 1.2\n---\n# no document\n---\n...\n",
		"Kubernetes":           "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 3}\n",
		"same kind elsewhere":  "apiVersion: serving.knative.dev/v1\nkind: Configuration\n",
		"no resource at all":   "services:\n  redis:\n    image: redis\n",
		"a list":               "- 1\n- 2\n",
		"a word":               "hello\n",
	} {
		t.Run(name, func(t *testing.T) {
			good, err := Parse("f.yaml", []byte(text))
			assert.NoError(t, err)
			assert.Empty(t, good)
		})
	}
}

// A mistake in one document hides no other document, whatever the mistake is.
func TestParseKeepsTheGoodDocuments(t *testing.T) {
	good1 := componentText("  type: state.redis\n")
	good2 := strings.ReplaceAll(good1, "statestore", "other")
	for name, broken := range map[string]string{
		"typo":   componentText("  typ: state.redis\n"),
		"syntax": "metadata: {name: [ }\n",
		"tab":    "metadata:\n\tname: x\n",
	} {
		t.Run(name, func(t *testing.T) {
			loaded, err := Parse("f.yaml", []byte(good1+"---\n"+broken+"--- # next\n"+good2))
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "\n", "one mistake")
			require.Len(t, loaded, 2)
			assert.Equal(t, "statestore", loaded[0].Head().Name())
			assert.Equal(t, Source{"f.yaml", 1}, loaded[0].Head().Source)
			assert.Equal(t, "other", loaded[1].Head().Name())
			line := strings.Count(good1+"---\n"+broken+"---\n", "\n") + 1
			assert.Equal(t, Source{"f.yaml", line}, loaded[1].Head().Source)
		})
	}
}

func TestParseComponent(t *testing.T) {
	loaded, err := Parse("f.yaml", []byte("\ufeff"+`apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
  namespace: prod
  labels: {team: a}
  creationTimestamp: null
  uid: 3c1
spec:
  type: state.redis
  version: v2
  ignoreErrors: yes
  initTimeout: 1m30s
  metadata:
  - name: string
    value: "true"
  - {name: truth, value: True}
  - {name: number, value: 1.10}
  - {name: large, value: 12345678901234567890}
  - {name: date, value: 2024-01-01}
  - {name: "null", value: null}
  - {name: empty, value: ""}
  - name: list
    value: [1, "a", {b: true}]
  - name: text
    value: |
      two
      lines
  - name: env
    envRef: HOME
  - name: secret
    secretKeyRef: {name: redis, key: password}
auth:
  secretStore: vault
scopes: [app1, app2]
`))
	require.NoError(t, err)
	require.Len(t, loaded, 1)
	c := Select[*Component](loaded)[0]
	assert.Equal(t, "statestore", c.Name())
	assert.Equal(t, "prod", c.Namespace())
	assert.Equal(t, []string{"app1", "app2"}, c.Scopes)
	assert.Equal(t, "state.redis", c.Spec.Type)
	assert.Equal(t, "v2", c.Spec.Version)
	assert.True(t, c.Spec.IgnoreErrors)
	assert.Equal(t, Duration(90*time.Second), c.Spec.InitTimeout)
	assert.Equal(t, "vault", c.Auth.SecretStore)

	values := make(map[string]string)
	for _, p := range c.Spec.Metadata {
		if p.Value != nil {
			values[p.Name] = string(*p.Value)
		}
	}
	assert.Equal(t, map[string]string{
		"string": "true", "truth": "true", "number": "1.10", "large": "12345678901234567890", "date": "2024-01-01",
		"empty": "", "list": `[1,"a",{"b":true}]`, "text": "two\nlines\n",
	}, values)
	assert.Equal(t, "HOME", c.Spec.Metadata[9].EnvRef)
	assert.Equal(t, &SecretKeyRef{Name: "redis", Key: "password"}, c.Spec.Metadata[10].SecretKeyRef)
}

func TestParseAliasesAndMergeKeys(t *testing.T) {
	loaded, err := Parse("f.yaml", []byte(`apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: &name statestore}
spec:
  type: state.redis
  metadata:
  - &base {name: a, value: 1}
  - <<: *base
    name: b
  - <<: [*base, {envRef: X}]
    name: *name
`))
	require.NoError(t, err)
	metadata := loaded[0].(*Component).Spec.Metadata
	one := Value("1")
	assert.Equal(t, []NameValuePair{
		{Name: "a", Value: &one}, {Name: "b", Value: &one}, {Name: "statestore", Value: &one, EnvRef: "X"},
	}, metadata)
}

func TestParseTheOtherKinds(t *testing.T) {
	data, err := os.ReadFile("testdata/others.yaml")
	require.NoError(t, err)
	loaded, err := Parse("f.yaml", data)
	require.NoError(t, err)

	subscriptions := Select[*Subscription](loaded)
	require.Len(t, subscriptions, 2)
	assert.Equal(t, SubscriptionSpec{
		Topic: "t", PubsubName: "p", Routes: Routes{Default: "/orders"}, Metadata: map[string]string{"rawPayload": "true"},
		DeadLetterTopic: "dead", BulkSubscribe: BulkSubscribe{Enabled: true, MaxMessagesCount: 10},
	}, subscriptions[0].Spec)
	assert.False(t, subscriptions[0].InScope("b"))
	assert.Equal(t, Routes{Default: "/orders", Rules: []Rule{{`event.type == "x"`, "/x"}}}, subscriptions[1].Spec.Routes)

	endpoint := Select[*HTTPEndpoint](loaded)[0]
	assert.Equal(t, "tls", endpoint.Spec.ClientTLS.PrivateKey.SecretKeyRef.Name)

	r := Select[*Resiliency](loaded)[0].Spec
	assert.Equal(t, Duration(500*time.Millisecond), r.Policies.Timeouts["fast"])
	assert.Equal(t, -1, *r.Policies.Retries["often"].MaxRetries)
	assert.Equal(t, AppTarget{PolicyNames{"fast", "often", "cb"}, 10}, r.Targets.Apps["b"])
	assert.Equal(t, "both", r.Targets.Actors["Cat"].CircuitBreakerScope)
	assert.Equal(t, "often", r.Targets.Components["statestore"].Outbound.Retry)

	assert.Contains(t, Select[*MCPServer](loaded)[0].Spec, "endpoint")
	assert.Contains(t, Select[*WorkflowAccessPolicy](loaded)[0].Spec, "rules")
}

// A resource's JSON is a document of the same resource: that is how it travels
// from a cluster to a sidecar.
func TestJSONIsADocument(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		loaded, err := Parse(file, data)
		require.NoError(t, err)
		for _, want := range loaded {
			text, err := json.Marshal(want)
			require.NoError(t, err)
			again, err := Parse("again", text)
			require.NoError(t, err, string(text))
			require.Len(t, again, 1)
			again[0].Head().Source = want.Head().Source
			assert.Equal(t, want, again[0])
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		good, err := Parse("f.yaml", data)
		for _, r := range good {
			if r.Head().Name() == "" || r.Head().Source.Line < 1 {
				t.Errorf("%+v was taken for good", r)
			}
		}
		if err != nil && !strings.HasPrefix(err.Error(), "f.yaml") {
			t.Errorf("%q does not begin with the file", err)
		}
	})
}
