package resource

import (
	"context"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/component"
)

// parseOne parses one document without mistakes.
func parseOne[T Resource](t *testing.T, text string) T {
	t.Helper()
	loaded, err := Parse("f.yaml", []byte(text))
	require.NoError(t, err)
	require.Len(t, loaded, 1)
	return Select[T](loaded)[0]
}

// testEnv has the variables and secrets of the tests.
func testEnv() Env {
	variables := map[string]string{"HOST": "localhost", "EMPTY": "", "DAPR_API_TOKEN": "token", "APP_API_TOKEN": "token"}
	return Env{
		AppID: "app1", Namespace: "prod", PodName: "pod-7",
		LookupEnv: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
		Secret: func(_ context.Context, store, name string) (map[string]string, error) {
			switch {
			case store != "vault":
				return nil, ErrNoSecretStore
			case name == "redis":
				return map[string]string{"redis": "by-name", "password": "hunter2"}, nil
			}
			return nil, errors.New("no such secret")
		},
	}
}

func TestResolve(t *testing.T) {
	c := parseOne[*Component](t, `
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore, namespace: prod}
spec:
  type: state.redis
  metadata:
  - {name: plain, value: 5}
  - {name: fromEnv, envRef: HOST}
  - {name: emptyEnv, envRef: EMPTY}
  - {name: password, secretKeyRef: {name: redis, key: password}}
  - {name: byName, secretKeyRef: {name: redis}}
  - {name: valueWins, value: v, envRef: HOST, secretKeyRef: {name: redis}}
  - {name: envWins, envRef: HOST, secretKeyRef: {name: redis}}
  - {name: nothing}
  - {name: templates, value: "{appID}/{namespace}/{podName}/{other}"}
auth: {secretStore: vault}
`)
	assert.Equal(t, "vault", c.SecretStore(""))
	spec, err := c.Resolve(t.Context(), testEnv())
	require.NoError(t, err)
	assert.Equal(t, component.Spec{
		Name: "statestore", Type: "state.redis", Version: "v1", Namespace: "prod", InitTimeout: 5 * time.Second,
		Metadata: map[string]string{
			"plain": "5", "fromEnv": "localhost", "emptyEnv": "", "password": "hunter2", "byName": "by-name",
			"valueWins": "v", "envWins": "localhost", "nothing": "", "templates": "app1/prod.app1/pod-7/{other}",
		},
		SecretKeys: map[string]bool{"password": true, "byName": true},
	}, spec)
}

func TestResolveKeepsWhatIsSet(t *testing.T) {
	c := &Component{Spec: ComponentSpec{Type: "state.redis", Version: "v2", IgnoreErrors: true, InitTimeout: Duration(time.Minute)}}
	c.Metadata.Name = "s"
	spec, err := c.Resolve(t.Context(), Env{})
	require.NoError(t, err)
	assert.Equal(t, "v2", spec.Version)
	assert.True(t, spec.IgnoreErrors)
	assert.Equal(t, time.Minute, spec.InitTimeout)
}

func TestResolveMakesEveryUUIDAnew(t *testing.T) {
	value := Value("{uuid} {uuid}")
	c := &Component{Spec: ComponentSpec{Type: "state.redis", Metadata: []NameValuePair{{Name: "id", Value: &value}}}}
	spec, err := c.Resolve(t.Context(), Env{})
	require.NoError(t, err)
	const v4 = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
	ids := regexp.MustCompile(v4).FindAllString(spec.Metadata["id"], -1)
	require.Len(t, ids, 2)
	assert.NotEqual(t, ids[0], ids[1])
	assert.Equal(t, ids[0]+" "+ids[1], spec.Metadata["id"])
}

func TestResolveErrors(t *testing.T) {
	value := func(s string) *Value { v := Value(s); return &v }
	for name, tt := range map[string]struct {
		pair  NameValuePair
		store string
		env   func(*Env)
		want  string
	}{
		"no pod":             {pair: NameValuePair{Value: value("{podName}")}, env: func(e *Env) { e.PodName = "" }, want: "{podName} needs the environment variable POD_NAME, which is not set"},
		"unset variable":     {pair: NameValuePair{EnvRef: "NONE"}, want: "envRef: the environment variable NONE is not set"},
		"app token":          {pair: NameValuePair{EnvRef: "APP_API_TOKEN"}, want: "envRef: APP_API_TOKEN is the sidecar's own and may not be referred to"},
		"own variable":       {pair: NameValuePair{EnvRef: "dapr_api_token"}, want: "envRef: dapr_api_token is the sidecar's own and may not be referred to"},
		"a space":            {pair: NameValuePair{EnvRef: "A B"}, want: `envRef: "A B" has a space in it`},
		"not listed":         {pair: NameValuePair{EnvRef: "HOST"}, env: func(e *Env) { e.EnvKeys = []string{"A"} }, want: "envRef: HOST is not among the variables that DAPR_ENV_KEYS lists"},
		"no store named":     {pair: NameValuePair{SecretKeyRef: &SecretKeyRef{Name: "redis"}}, want: `secretKeyRef to "redis": set auth.secretStore to the name of a secret store`},
		"store not open":     {pair: NameValuePair{SecretKeyRef: &SecretKeyRef{Name: "redis"}}, store: "local", want: `secret "redis" in store "local": the secret store is not open`},
		"store not there":    {pair: NameValuePair{SecretKeyRef: &SecretKeyRef{Name: "redis"}}, store: "vault", env: func(e *Env) { e.Secret = nil }, want: `secret "redis" in store "vault": the secret store is not open`},
		"secret not there":   {pair: NameValuePair{SecretKeyRef: &SecretKeyRef{Name: "pg"}}, store: "vault", want: `secret "pg" in store "vault": no such secret`},
		"key not there":      {pair: NameValuePair{SecretKeyRef: &SecretKeyRef{Name: "redis", Key: "user"}}, store: "vault", want: `secret "redis" in store "vault": key "user": no such key in the secret`},
		"default store":      {pair: NameValuePair{SecretKeyRef: &SecretKeyRef{Name: "pg"}}, env: func(e *Env) { e.DefaultSecretStore = "vault" }, want: `secret "pg" in store "vault": no such secret`},
		"listed is not ours": {pair: NameValuePair{EnvRef: "DAPR_X"}, env: func(e *Env) { e.EnvKeys = []string{"DAPR_X"} }, want: "envRef: DAPR_X is the sidecar's own and may not be referred to"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.pair.Name = "item"
			c := &Component{Auth: Auth{SecretStore: tt.store}, Spec: ComponentSpec{Type: "state.redis", Metadata: []NameValuePair{tt.pair}}}
			c.Metadata.Name = "s"
			env := testEnv()
			if tt.env != nil {
				tt.env(&env)
			}
			_, err := c.Resolve(t.Context(), env)
			assert.EqualError(t, err, "component s (state.redis/v1): metadata item: "+tt.want)
		})
	}
}

func TestResolveTellsAMissingStoreApart(t *testing.T) {
	ref := NameValuePair{Name: "b", SecretKeyRef: &SecretKeyRef{Name: "redis", Key: "password"}}
	c := &Component{Auth: Auth{SecretStore: "local"}, Spec: ComponentSpec{Metadata: []NameValuePair{{Name: "a", EnvRef: "NONE"}, ref, ref}}}
	_, err := c.Resolve(t.Context(), testEnv())
	require.ErrorIs(t, err, ErrNoSecretStore)
	var secret *SecretError
	require.ErrorAs(t, err, &secret)
	assert.Equal(t, "local", secret.Store)
	assert.Equal(t, "redis", secret.Secret)
}

func TestResolveReadsASecretOnce(t *testing.T) {
	ref := NameValuePair{Name: "a", SecretKeyRef: &SecretKeyRef{Name: "redis", Key: "password"}}
	c := &Component{Auth: Auth{SecretStore: "vault"}, Spec: ComponentSpec{Metadata: []NameValuePair{ref, ref}}}
	env, reads := testEnv(), 0
	read := env.Secret
	env.Secret = func(ctx context.Context, store, name string) (map[string]string, error) {
		reads++
		return read(ctx, store, name)
	}
	_, err := c.Resolve(t.Context(), env)
	require.NoError(t, err)
	assert.Equal(t, 1, reads)
}

func TestSecretStoreIsNeededOnlyForSecrets(t *testing.T) {
	value := Value("v")
	ref := &SecretKeyRef{Name: "redis"}
	c := &Component{Auth: Auth{SecretStore: "vault"}}
	assert.Empty(t, c.SecretStore("kubernetes"))
	c.Spec.Metadata = []NameValuePair{{Name: "a", Value: &value, SecretKeyRef: ref}}
	assert.Empty(t, c.SecretStore("kubernetes"), "the value wins")
	c.Spec.Metadata = []NameValuePair{{Name: "a", SecretKeyRef: ref}}
	assert.Equal(t, "vault", c.SecretStore("kubernetes"))
	c.Auth.SecretStore = ""
	assert.Equal(t, "kubernetes", c.SecretStore("kubernetes"))
}

func TestResolveHTTPEndpoint(t *testing.T) {
	e := parseOne[*HTTPEndpoint](t, `
apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata: {name: api}
spec:
  baseUrl: https://api.example.com
  headers:
  - {name: accept, value: application/json}
  - {name: Authorization, secretKeyRef: {name: redis, key: password}}
  - {name: Accept, envRef: HOST}
  clientTLS:
    rootCA: {value: root}
    certificate: {value: cert}
    privateKey: {secretKeyRef: {name: redis}}
    renegotiation: OnceAsClient
auth: {secretStore: vault}
`)
	assert.Equal(t, "vault", e.SecretStore(""))
	resolved, err := e.Resolve(t.Context(), testEnv())
	require.NoError(t, err)
	assert.Equal(t, Endpoint{
		Name: "api", BaseURL: "https://api.example.com",
		Header: map[string][]string{"Accept": {"application/json", "localhost"}, "Authorization": {"hunter2"}},
		RootCA: "root", Certificate: "cert", PrivateKey: "by-name", Renegotiation: "OnceAsClient",
	}, resolved)

	e.Spec.ClientTLS.PrivateKey.SecretKeyRef.Key = "none"
	_, err = e.Resolve(t.Context(), testEnv())
	assert.EqualError(t, err, `HTTP endpoint api: clientTLS privateKey: secret "redis" in store "vault": key "none": no such key in the secret`)
}
