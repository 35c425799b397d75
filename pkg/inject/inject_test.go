package inject

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/hyperdapr/dapr/test/golden"
)

// settings are those of the golden files.
func settings(name string) Settings {
	s := Defaults("registry.example/daprd:1", "dapr-system")
	s.TrustAnchors = "-----BEGIN CERTIFICATE-----\n"
	switch name {
	case "sockets":
		s.Components = []Component{
			{Name: "cache", Container: `{"image":"cache:1","volumeMounts":[{"name":"scratch","mountPath":"/scratch"}]}`},
			{Name: "second", Container: `{"image":"cache:1"}`},
			{Name: "other", Container: `{"image":"other:1"}`, Scopes: []string{"another-app"}},
			{Name: "broken", Container: `[]`},
			{Name: "nameless", Container: `{"name":"n"}`},
			{Name: "Up", Container: `{"image":"up:1"}`},
			{Name: "plain"},
		}
	case "everything", "windows":
		uid := int64(1000)
		s.RunAsUser, s.RunAsGroup, s.DropAllCapabilities, s.HostIP = &uid, &uid, false, true
		s.SentryAddress = "sentry.example:443"
		s.RemindersService, s.RemindersAddress = "keeper", "keeper:1"
		s.Scheduler, s.MTLS = true, false
		s.CommandTolerations = []corev1.Toleration{{Key: "virtual", Operator: corev1.TolerationOpExists}}
	}
	return s
}

func TestSidecars(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	for _, file := range files {
		name, ok := strings.CutSuffix(filepath.Base(file), ".yaml")
		if !ok || strings.HasSuffix(name, ".golden") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			pod, given := read(t, file)
			before := pod.DeepCopy()
			r, err := Pod(pod, settings(name))
			require.NoError(t, err)
			require.Equal(t, before, pod, "the given pod is not changed")
			require.True(t, r.Inject)

			patched := apply(t, given, r.Patch)
			requireSame(t, patched, r.Pod)
			text, err := yaml.JSONToYAML(patched)
			require.NoError(t, err)
			var b bytes.Buffer
			for _, line := range append([]string{"reason: " + r.Reason}, r.Warnings...) {
				b.WriteString("# " + line + "\n")
			}
			b.Write(text)
			golden.Equal(t, name+".golden.yaml", b.String())

			again, err := Pod(r.Pod, settings(name))
			require.NoError(t, err)
			require.False(t, again.Inject)
			require.Equal(t, `there is a container "daprd" already`, again.Reason)
			require.Empty(t, again.Patch)
		})
	}
}

func TestPodsThatAreLeftAlone(t *testing.T) {
	on := map[string]string{"enabled": "true", "app-id": "app"}
	for _, tt := range []struct {
		name, want string
		pod        *corev1.Pod
	}{
		{"no annotation", "annotation dapr.io/enabled is not set", annotated(nil)},
		{"off", `annotation dapr.io/enabled is "false"`, annotated(map[string]string{"enabled": "false"})},
		{"unclear", `annotation dapr.io/enabled is "ja"`, annotated(map[string]string{"enabled": "ja"})},
		{"sidecar", `there is a container "daprd" already`, with(annotated(on), func(p *corev1.Pod) { p.Spec.Containers[0].Name = "daprd" })},
		{"native sidecar", `there is a container "daprd" already`, with(annotated(on), func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "daprd"}}
		})},
		{"nothing to serve", "there is no container to put a sidecar beside", with(annotated(on), func(p *corev1.Pod) { p.Spec.Containers = nil })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Pod(tt.pod, Defaults("daprd:1", "dapr-system"))
			require.NoError(t, err)
			require.Equal(t, Result{Reason: tt.want, Pod: tt.pod}, r)
		})
	}
}

func TestABadAppIDIsAnError(t *testing.T) {
	r, err := Pod(annotated(map[string]string{"enabled": "true", "app-id": "Node.App"}), Defaults("daprd:1", "dapr-system"))
	require.EqualError(t, err, `annotation dapr.io/app-id "Node.App" must not contain a dot: what follows one is read as the namespace; use a dash`)
	require.False(t, r.Inject)
	require.Empty(t, r.Patch)

	// The pod's name is the id of a pod without one, and no better than it.
	_, err = Pod(with(annotated(map[string]string{"enabled": "true"}), func(p *corev1.Pod) { p.Name = "a.b" }), Defaults("daprd:1", "dapr-system"))
	require.ErrorContains(t, err, `"a.b" must not contain a dot`)
}

func TestTheIDOfAPodWithoutOne(t *testing.T) {
	r, err := Pod(annotated(map[string]string{"enabled": "true"}), Defaults("daprd:1", "dapr-system"))
	require.NoError(t, err)
	require.Equal(t, "pod", r.AppID)
	require.Equal(t, "pod", r.Pod.Labels[LabelAppID])
	require.Equal(t, []string{`annotation dapr.io/app-id is missing: the pod's name, "pod", is taken; give the app an id of its own`}, r.Warnings)
}

func TestNativeSidecars(t *testing.T) {
	yes, no := map[string]string{"enabled": "true", "app-id": "a", "enable-native-sidecar": "true"}, map[string]string{"enabled": "true", "app-id": "a", "enable-native-sidecar": "false"}
	unset := map[string]string{"enabled": "true", "app-id": "a"}
	for _, tt := range []struct {
		name                   string
		annotations            map[string]string
		setting, lacks, native bool
		warning                string
	}{
		{"by default", unset, false, false, false, ""},
		{"by the chart", unset, true, false, true, ""},
		{"by the pod", yes, false, false, true, ""},
		{"not by the pod", no, true, false, false, ""},
		{"not by an old cluster", unset, true, true, false, ""},
		{"not by an old cluster, as the pod must know", yes, true, true, false, "annotation dapr.io/enable-native-sidecar is ignored: this cluster has no native sidecars; they need Kubernetes 1.29"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Defaults("daprd:1", "dapr-system")
			s.NativeSidecar, s.ClusterLacksNativeSidecars = tt.setting, tt.lacks
			r, err := Pod(annotated(tt.annotations), s)
			require.NoError(t, err)
			require.Equal(t, tt.native, len(r.Pod.Spec.InitContainers) == 1)
			require.Equal(t, !tt.native, len(r.Pod.Spec.Containers) == 2)
			if tt.warning == "" {
				require.Empty(t, r.Warnings)
			} else {
				require.Equal(t, []string{tt.warning}, r.Warnings)
			}
		})
	}
}

func TestAddressesOfTheControlPlane(t *testing.T) {
	s := Defaults("daprd:1", "sys")
	for given, want := range map[string]string{
		"placement:1":       "placement.sys.svc.cluster.local:1",
		"placement.x.svc:1": "placement.x.svc:1",
		"10.0.0.1:1":        "10.0.0.1:1",
		"[::1]:1":           "[::1]:1",
		"::1":               "::1",
		"a:1,b:1":           "a:1,b:1",
		"placement":         "placement",
	} {
		require.Equal(t, want, s.address(given), given)
	}
	s.ActorsService, s.ActorsAddress = "places", "places:7"
	r, err := Pod(annotated(map[string]string{"enabled": "true", "app-id": "a"}), s)
	require.NoError(t, err)
	args := strings.Join(r.Pod.Spec.Containers[1].Args, " ")
	require.Contains(t, args, " --actors-service places:places.sys.svc.cluster.local:7 ")
	require.NotContains(t, args, "--placement-host-address")
}

func with(pod *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
	change(pod)
	return pod
}

// read returns a pod and its JSON as it was written.
func read(t *testing.T, file string) (*corev1.Pod, []byte) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	given, err := yaml.YAMLToJSON(text)
	require.NoError(t, err)
	var pod corev1.Pod
	require.NoError(t, json.Unmarshal(given, &pod))
	return &pod, given
}

func apply(t *testing.T, given []byte, p Patch) []byte {
	t.Helper()
	text, err := p.JSON()
	require.NoError(t, err)
	patch, err := jsonpatch.DecodePatch(text)
	require.NoError(t, err)
	patched, err := patch.Apply(given)
	require.NoError(t, err)
	return patched
}

// requireSame holds that a patched pod is the pod that was announced.
func requireSame(t *testing.T, patched []byte, announced *corev1.Pod) {
	t.Helper()
	var pod corev1.Pod
	require.NoError(t, json.Unmarshal(patched, &pod))
	want, err := json.Marshal(announced)
	require.NoError(t, err)
	got, err := json.Marshal(&pod)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
}

// FuzzPod: no pod makes the injection panic or return a patch that does not
// apply, that changes what the pod's author wrote, or that repeats a name which
// must be unique.
func FuzzPod(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		given, err := yaml.YAMLToJSON(text)
		require.NoError(f, err)
		f.Add(given, "app-port", "3000", "volume-mounts", "a:/b", `{"image":"x","name":"app"}`)
	}
	f.Add([]byte(`{"metadata":{"name":"p"},"spec":{"containers":[{},{"name":"daprd-"},{"env":[{"name":"APP_PROTOCOL"}]}],"volumes":[{"name":"dapr-identity-token"}]}}`),
		"unix-domain-socket-path", "/var/run/secrets/dapr.io/sentrytoken", "pluggable-components", ",app,app", `{"volumeMounts":[{"name":"x"},{"name":"x"}]}`)
	f.Fuzz(func(t *testing.T, object []byte, key1, value1, key2, value2, component string) {
		var pod corev1.Pod
		if json.Unmarshal(object, &pod) != nil {
			return
		}
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[Prefix+key1] = value1
		pod.Annotations[Prefix+key2] = value2
		pod.Annotations[Prefix+"enabled"] = "true"
		given, err := json.Marshal(&pod)
		if err != nil {
			return
		}
		pod = corev1.Pod{} // as JSON can hold it: no broken UTF-8
		require.NoError(t, json.Unmarshal(given, &pod))
		s := Defaults("daprd:1", "dapr-system")
		s.Components = []Component{{Name: "c", Container: component}, {Name: "d", Container: component, Scopes: []string{value1}}}
		for _, s.NativeSidecar = range []bool{false, true} {
			r, err := Pod(&pod, s)
			if err != nil || !r.Inject {
				require.Empty(t, r.Patch)
				continue
			}
			requireValid(t, &pod, given, r)
		}
	})
}

func requireValid(t *testing.T, pod *corev1.Pod, given []byte, r Result) {
	t.Helper()
	patched := apply(t, given, r.Patch)
	requireSame(t, patched, r.Pod)
	var got corev1.Pod
	require.NoError(t, json.Unmarshal(patched, &got))
	require.True(t, HasSidecar(&got))

	require.GreaterOrEqual(t, len(got.Spec.Containers), len(pod.Spec.Containers))
	for i, c := range pod.Spec.Containers {
		requireKept(t, c, got.Spec.Containers[i])
	}
	require.GreaterOrEqual(t, len(got.Spec.InitContainers), len(pod.Spec.InitContainers))
	for i, c := range pod.Spec.InitContainers {
		requireKept(t, c, got.Spec.InitContainers[i])
	}
	for k, v := range pod.Annotations {
		require.Equal(t, v, got.Annotations[k])
	}
	requireUnique(t, "volume", len(pod.Spec.Volumes), names(got.Spec.Volumes, func(v corev1.Volume) string { return v.Name }))
	requireUnique(t, "container", len(pod.Spec.Containers), names(got.Spec.Containers, func(c corev1.Container) string { return c.Name }))
	for _, list := range [][]corev1.Container{got.Spec.Containers, got.Spec.InitContainers} {
		for _, c := range list {
			if c.Name == ContainerName {
				requireUnique(t, "variable", 0, names(c.Env, func(v corev1.EnvVar) string { return v.Name }))
				requireUnique(t, "mount", 0, names(c.VolumeMounts, func(m corev1.VolumeMount) string { return m.MountPath }))
			}
		}
	}
	require.Equal(t, "true", got.Labels[LabelInjected])
	require.NotEqual(t, metav1.ObjectMeta{}, got.ObjectMeta)
}

// requireKept holds that nothing of a container is gone or changed.
func requireKept(t *testing.T, before, after corev1.Container) {
	t.Helper()
	require.GreaterOrEqual(t, len(after.Env), len(before.Env))
	require.GreaterOrEqual(t, len(after.VolumeMounts), len(before.VolumeMounts))
	after.Env, after.VolumeMounts = after.Env[:len(before.Env)], after.VolumeMounts[:len(before.VolumeMounts)]
	want, err := json.Marshal(before)
	require.NoError(t, err)
	got, err := json.Marshal(after)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
}

func names[T any](list []T, of func(T) string) []string {
	var out []string
	for _, v := range list {
		out = append(out, of(v))
	}
	return out
}

// requireUnique holds that what was added, behind the first old names, repeats
// none.
func requireUnique(t *testing.T, what string, old int, list []string) {
	t.Helper()
	seen := map[string]bool{}
	for i, name := range list {
		require.False(t, i >= old && seen[name], "%s %q stands there twice", what, name)
		seen[name] = true
	}
}
