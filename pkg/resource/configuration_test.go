package resource

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// configFile writes a Configuration with the spec, which begins at line 6.
func configFile(t *testing.T, spec string) string {
	t.Helper()
	return filepath.Join(folder(t, map[string]string{
		"config.yaml": "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n" + spec,
	}), "config.yaml")
}

func TestConfigurationDefaults(t *testing.T) {
	for name, files := range map[string][]string{"no file": nil, "an empty spec": {configFile(t, "  tracing: {otel: {}}\n")}} {
		t.Run(name, func(t *testing.T) {
			c, err := LoadConfiguration(files...)
			require.NoError(t, err)
			assert.True(t, c.MetricsEnabled())
			assert.False(t, *c.Metrics().RecordErrorCodes)
			assert.True(t, *c.Metrics().HTTP.IncreasedCardinality)
			assert.True(t, c.Spec.Tracing.Otel.IsSecure)
			assert.True(t, c.Spec.MTLS.Enabled)
			assert.Equal(t, Duration(24*time.Hour), c.Spec.MTLS.WorkloadCertTTL)
			assert.Equal(t, Duration(15*time.Minute), c.Spec.MTLS.AllowedClockSkew)
			assert.Equal(t, "public", c.Spec.AccessControl.TrustDomain)
			assert.Equal(t, []string{"HotReload", "WorkflowsRemoteActivityReminder"}, c.EnabledFeatures())
			assert.False(t, c.Denies("state.redis", ""))
		})
	}
}

// Every field of the spec is in the file, and the decoder knows all of them.
func TestConfigurationHasEveryField(t *testing.T) {
	c, err := LoadConfiguration("testdata/configuration.yaml")
	require.NoError(t, err)
	assertNoZero(t, reflect.ValueOf(c.Spec), "spec")

	assert.False(t, c.Spec.Tracing.Otel.IsSecure)
	assert.True(t, c.MetricsEnabled(), "metrics overrides metric")
	assert.Len(t, c.Metrics().Rules, 1, "metric stays where metrics says nothing")
	assert.Equal(t, []int{1, 10, 100}, c.Metrics().LatencyDistributionBuckets)
	assert.False(t, *c.Metrics().HTTP.IncreasedCardinality)
	assert.Equal(t, "public", c.Spec.AccessControl.Policies[0].TrustDomain)
	assert.Equal(t, "default", c.Spec.AccessControl.Policies[0].Namespace)
	assert.False(t, c.FeatureEnabled("HotReload"))
	assert.True(t, c.FeatureEnabled("ActorStateTTL"))
	assert.Equal(t, []string{"ActorStateTTL", "WorkflowsRemoteActivityReminder"}, c.EnabledFeatures())
	assert.Equal(t, map[string]any{"a": 1}, c.Spec.NameResolution.Configuration)
	assert.Equal(t, Duration(4*time.Hour), *c.Spec.Workflow.StateRetentionPolicy.Terminated)
}

// mayBeZero are the fields that the test data leaves out, or sets to false.
var mayBeZero = []string{
	"spec.Tracing.Otel.IsSecure", "spec.Tracing.Otel.Headers[0].Value", "spec.Tracing.Otel.Headers[0].EnvRef",
	"spec.HTTPPipeline.Handlers[0].Version", "spec.AppHTTPPipeline.Handlers[0].Selector", "spec.Features[0].Enabled",
	"spec.API.Denied[0].Protocol", "spec.Metric.HTTP", "spec.Metric.RecordErrorCodes", "spec.Metric.Workflow",
	"spec.Metric.LatencyDistributionBuckets", "spec.Metrics.Rules",
}

func assertNoZero(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	for _, allowed := range mayBeZero {
		if path == allowed {
			return
		}
	}
	switch {
	case v.IsZero():
		t.Errorf("%s is not set", path)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			assertNoZero(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case v.Kind() == reflect.Slice && v.Index(0).Kind() == reflect.Struct:
		assertNoZero(t, v.Index(0), path+"[0]")
	case v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct:
		assertNoZero(t, v.Elem(), path)
	}
}

func TestLoadConfigurationMerges(t *testing.T) {
	first := configFile(t, `  tracing: {samplingRate: "1", zipkin: {endpointAddress: a}}
  features: [{name: A, enabled: true}, {name: B, enabled: true}]
  mtls: {enabled: false}
  components: {deny: [state.redis]}
`)
	second := configFile(t, `  tracing: {samplingRate: "0.5"}
  features: [{name: C, enabled: true}]
  logging: {apiLogging: {enabled: true}}
`)
	c, err := LoadConfiguration(first, second)
	require.NoError(t, err)
	assert.Equal(t, "0.5", c.Spec.Tracing.SamplingRate, "the later file wins")
	assert.Equal(t, "a", c.Spec.Tracing.Zipkin.EndpointAddress, "what it does not mention stays")
	assert.False(t, c.Spec.MTLS.Enabled)
	assert.Equal(t, []Feature{{"C", true}}, c.Spec.Features, "lists are replaced")
	assert.True(t, c.Spec.Logging.APILogging.Enabled)
	assert.True(t, c.Denies("state.redis", "v2"))
}

func TestDenies(t *testing.T) {
	c := NewConfiguration()
	c.Spec.Components.Deny = []string{"bindings.smtp", "State.redis/v2", "pubsub.kafka/v1"}
	for typ, want := range map[string]bool{
		"bindings.smtp": true, "bindings.smtp/v9": true, "state.redis/v2": true, "state.redis/v1": false,
		"state.redis": false, "pubsub.kafka": true,
	} {
		name, version, _ := strings.Cut(typ, "/")
		assert.Equal(t, want, c.Denies(name, version), typ)
	}
}

func TestLoadConfigurationNamesEveryMistake(t *testing.T) {
	for name, tt := range map[string]struct {
		spec string
		want []string
	}{
		"typo": {
			"  tracing:\n    samplingrate: \"1\"\n",
			[]string{":7: spec.tracing.samplingrate: unknown field; did you mean samplingRate?"},
		},
		"a number for text": {
			"  tracing:\n    samplingRate: 1\n",
			[]string{":7: spec.tracing.samplingRate: want a string, got a number; put it in quotes"},
		},
		"values": {
			"  secrets:\n    scopes:\n    - {storeName: a, defaultAccess: dney}\n    - {storeName: a, defaultAccess: Deny}\n  api:\n    denied:\n    - {name: state, version: v1, protocol: udp}\n",
			[]string{
				`:8: spec.secrets.scopes[0].defaultAccess: "dney" is not one of allow, deny; did you mean deny?`,
				`:9: spec.secrets.scopes[1].storeName: there is a scope of the store "a" already; put both into one`,
				`:12: spec.api.denied[0].protocol: "udp" is not one of http, grpc`,
			},
		},
		"access": {
			"  accessControl:\n    policies:\n    - defaultAction: maybe\n      operations: [{action: allow}]\n",
			[]string{
				":8: spec.accessControl.policies[0].appId: missing",
				`:8: spec.accessControl.policies[0].defaultAction: "maybe" is not one of allow, deny`,
				":9: spec.accessControl.policies[0].operations[0].name: missing",
			},
		},
		"scopes": {
			"  tracing: {}\nscopes: [a]\n",
			[]string{":7: scopes: a Configuration has no scopes: an app names the Configuration it uses"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := configFile(t, tt.spec)
			c, err := LoadConfiguration(file)
			assert.Nil(t, c)
			require.Error(t, err)
			assert.Equal(t, tt.want, strings.Split(strings.ReplaceAll(err.Error(), file, ""), "\n"))
		})
	}
}

func TestLoadConfigurationNamesBadFiles(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": store("a", ""), "b.yaml": "spec: {}\n"})
	_, err := LoadConfiguration(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, name := range []string{"a.yaml", "b.yaml"} {
		_, err := LoadConfiguration(filepath.Join(dir, name))
		assert.ErrorContains(t, err, name+": there is no Configuration in it")
	}
}
