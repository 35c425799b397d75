package embed

import (
	"io/fs"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// What the definitions take and refuse is tested with a real API server, in
// test/kubernetes.
func TestTheDefinitions(t *testing.T) {
	files, err := fs.ReadDir(CRDs(), ".")
	require.NoError(t, err)
	served := make(map[string][]string)
	for _, file := range files {
		text, err := fs.ReadFile(CRDs(), file.Name())
		require.NoError(t, err)
		var crd v1.CustomResourceDefinition
		require.NoError(t, yaml.UnmarshalStrict(text, &crd), file.Name())
		require.Equal(t, crd.Spec.Names.Plural+".dapr.io", crd.Name)
		require.Equal(t, crd.Spec.Names.Kind+"List", crd.Spec.Names.ListKind)
		require.Equal(t, v1.NamespaceScoped, crd.Spec.Scope)
		stored := 0
		for _, version := range crd.Spec.Versions {
			require.True(t, version.Served)
			if version.Storage {
				stored++
			}
			served[crd.Spec.Names.Kind] = append(served[crd.Spec.Names.Kind], version.Name)
			checkSchema(t, crd.Spec.Names.Kind, version.Schema.OpenAPIV3Schema)
		}
		require.Equal(t, 1, stored, "one version is stored")
		require.Equal(t, len(crd.Spec.Versions) > 1, crd.Spec.Conversion != nil, "two versions need a conversion")
	}
	require.Equal(t, map[string][]string{
		"Component": {"v1alpha1"}, "Configuration": {"v1alpha1"}, "HTTPEndpoint": {"v1alpha1"}, "MCPServer": {"v1alpha1"},
		"Resiliency": {"v1alpha1"}, "Subscription": {"v2alpha1", "v1alpha1"}, "WorkflowAccessPolicy": {"v1alpha1"},
	}, served)
}

// checkSchema holds that the schema is structural: every field has a type, or
// says that it takes anything, and what is required is there.
func checkSchema(t *testing.T, path string, s *v1.JSONSchemaProps) {
	t.Helper()
	if s.Type == "" {
		require.NotNil(t, s.XPreserveUnknownFields, "%s has no type", path)
	}
	_, err := regexp.Compile(s.Pattern)
	require.NoError(t, err, path)
	for _, name := range s.Required {
		require.Contains(t, s.Properties, name, path)
	}
	for name, sub := range s.Properties {
		checkSchema(t, path+"."+name, &sub)
	}
	if s.AdditionalProperties != nil {
		checkSchema(t, path+".*", s.AdditionalProperties.Schema)
	}
	if s.Type == "array" {
		require.NotNil(t, s.Items, path)
		checkSchema(t, path+"[]", s.Items.Schema)
	}
}
