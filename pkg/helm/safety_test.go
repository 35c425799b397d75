package helm

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// decode returns the rendered objects of a kind, by their names.
func decode[T any](t *testing.T, manifest, kind string) map[string]T {
	t.Helper()
	all := make(map[string]T)
	for name, doc := range documents(t, manifest) {
		if name, is := strings.CutPrefix(name, kind+" "); is {
			var object T
			require.NoError(t, yaml.UnmarshalStrict([]byte(doc), &object), name)
			all[name] = object
		}
	}
	require.NotEmpty(t, all, kind)
	return all
}

// workload is what all kinds with a pod template have in common.
type workload struct {
	APIVersion, Kind string
	Metadata         any
	Spec             struct {
		Replicas             any
		Selector             any
		ServiceName          string
		PodManagementPolicy  string
		VolumeClaimTemplates any
		// When the volumes go with what they were made for.
		PersistentVolumeClaimRetentionPolicy any
		Template                             corev1.PodTemplateSpec
	}
}

// settings are values that change much of what is rendered.
var settings = map[string][]string{
	"plain":                  nil,
	"high availability":      {"global.ha.enabled=true"},
	"one namespace":          {"global.rbac.namespaced=true"},
	"placement on disk":      {"dapr_placement.cluster.forceInMemoryLog=false"},
	"everything that is off": {"dapr_sentry.jwt.enabled=true", "dapr_sentry.oidc.enabled=true", "global.argoRolloutServiceReconciler.enabled=true", "global.operator.watchdogCanPatchPodLabels=true", "global.priorityClassName=system-cluster-critical"},
}

// What is checked here are the rules of https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted.
func TestAllPodsPassTheRestrictedProfile(t *testing.T) {
	c := theChart(t)
	for setting, expressions := range settings {
		manifest := render(t, c, expressions...)
		pods := decode[workload](t, manifest, "Deployment")
		for name, set := range decode[workload](t, manifest, "StatefulSet") {
			pods[name] = set
		}
		require.Len(t, pods, len(services), setting)
		for name, w := range pods {
			t.Run(setting+"/"+name, func(t *testing.T) { checkRestricted(t, w.Spec.Template.Spec) })
		}
	}
}

func checkRestricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	require.False(t, pod.HostNetwork || pod.HostPID || pod.HostIPC, "namespaces of the node")
	require.NotNil(t, pod.SecurityContext)
	require.NotNil(t, pod.SecurityContext.SeccompProfile)
	require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	require.Nil(t, pod.SecurityContext.RunAsUser, "the image says it, or OpenShift does")
	require.Empty(t, pod.SecurityContext.Sysctls)
	for _, v := range pod.Volumes {
		allowed := v.ConfigMap != nil || v.Secret != nil || v.Projected != nil || v.EmptyDir != nil || v.PersistentVolumeClaim != nil ||
			v.CSI != nil || v.DownwardAPI != nil || v.Ephemeral != nil
		require.True(t, allowed, "volume %s", v.Name)
	}
	require.NotEmpty(t, pod.Containers)
	for _, container := range append(pod.InitContainers, pod.Containers...) {
		s := container.SecurityContext
		require.NotNil(t, s, container.Name)
		require.False(t, *s.AllowPrivilegeEscalation)
		require.Equal(t, []corev1.Capability{"ALL"}, s.Capabilities.Drop)
		require.Empty(t, s.Capabilities.Add)
		require.True(t, s.Privileged == nil || !*s.Privileged)
		require.True(t, *s.RunAsNonRoot)
		require.Nil(t, s.RunAsUser)
		require.Nil(t, s.SeccompProfile, "the pod's counts")
		require.True(t, *s.ReadOnlyRootFilesystem, "more than the profile asks for")
		for _, port := range container.Ports {
			require.Zero(t, port.HostPort)
		}
	}
}

func TestNoRightIsAWildcard(t *testing.T) {
	c := theChart(t)
	for setting, expressions := range settings {
		manifest := render(t, c, expressions...)
		roles := decode[rbacv1.Role](t, manifest, "Role")
		for name, role := range decode[rbacv1.ClusterRole](t, manifest, "ClusterRole") {
			roles["cluster-wide "+name] = rbacv1.Role{Rules: role.Rules}
		}
		for name, role := range roles {
			require.NotEmpty(t, role.Rules, name)
			for _, rule := range role.Rules {
				for _, part := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
					require.NotEmpty(t, part, "%s: %s: %v", setting, name, rule)
					require.NotContains(t, strings.Join(part, " "), "*", "%s: %s", setting, name)
				}
				require.Empty(t, rule.NonResourceURLs)
				for _, escalation := range []string{"escalate", "bind", "impersonate"} {
					require.NotContains(t, rule.Verbs, escalation, "%s: %s", setting, name)
				}
			}
		}
	}
}

// What a control plane for one namespace may do in the whole cluster is what
// cannot be given otherwise: its own webhook, the definition that it converts,
// and to ask whose a token is.
func TestRightsInOneNamespace(t *testing.T) {
	manifest := render(t, theChart(t), "global.rbac.namespaced=true")
	for name, role := range decode[rbacv1.ClusterRole](t, manifest, "ClusterRole") {
		for _, rule := range role.Rules {
			if len(rule.ResourceNames) == 0 {
				require.Equal(t, rbacv1.PolicyRule{
					APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"},
				}, rule, name)
			}
		}
	}
	for name, role := range decode[rbacv1.Role](t, manifest, "Role") {
		if name != "secret-reader" { // for apps, in a namespace of its own value
			require.Equal(t, "dapr-system", role.Namespace, name)
		}
	}
}

func TestEveryServicePortNamesItsProtocol(t *testing.T) {
	c := theChart(t)
	for setting, expressions := range settings {
		for name, service := range decode[corev1.Service](t, render(t, c, expressions...), "Service") {
			require.NotEmpty(t, service.Spec.Ports, name)
			for _, port := range service.Spec.Ports {
				require.NotNil(t, port.AppProtocol, "%s: %s: %s", setting, name, port.Name)
				require.Contains(t, []string{"tls", "http", "https", "tcp"}, *port.AppProtocol)
			}
		}
	}
}

// The folder is what "helm template --include-crds" and "helm install" take: as
// it lies there, without anything that this package does to it.
func TestThePlainChart(t *testing.T) {
	plain, err := loader.Load(filepath.Join("..", "..", "embed", "chart"))
	require.NoError(t, err)
	require.NoError(t, plain.Validate())
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy, install.IncludeCRDs = action.DryRunClient, true
	install.ReleaseName, install.Namespace = "dapr", "dapr-system"
	install.KubeVersion = &common.KubeVersion{Version: recentKubernetes, Major: "1", Minor: "33"}
	made, err := install.RunWithContext(t.Context(), plain, nil)
	require.NoError(t, err)
	release, err := stored(made)
	require.NoError(t, err)
	require.Equal(t, 7, strings.Count(release.Manifest, "\nkind: CustomResourceDefinition\n"))
	require.Contains(t, release.Manifest, "image: ghcr.io/hyperdapr/dapr:edge\n")

	// Helm's own check of values reads the same schema.
	_, err = install.RunWithContext(t.Context(), plain, map[string]any{"global": map[string]any{"registy": "x"}})
	require.ErrorContains(t, err, "registy")
}
