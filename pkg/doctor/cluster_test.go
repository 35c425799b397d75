package doctor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

const system = controlplane.DefaultNamespace

var today = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// world is a cluster to break: what a test changes in it before the
// examination, the examination sees.
type world struct {
	t *testing.T
	// objects are of Kubernetes' kinds, by kind and name; resources are ours.
	objects   map[string]runtime.Object
	resources []runtime.Object
	plane     *fakePlane
	// forbidden are resources that the user may not look at.
	forbidden []string
	// mutate is what the webhook makes of a new pod.
	mutate func(*corev1.Pod) error
	now    time.Time
}

// fakePlane is what an installation would make.
type fakePlane struct {
	release *helm.Release
	changes []kubernetes.CRDChange
	applied int
	err     error
}

func (p *fakePlane) Release(context.Context, string) (*helm.Release, error) { return p.release, p.err }

func (p *fakePlane) PlanDefinitions(context.Context, string) ([]kubernetes.CRDChange, error) {
	return p.changes, p.err
}

func (p *fakePlane) ApplyDefinitions(context.Context, string) error {
	p.applied++
	for i := range p.changes {
		p.changes[i].Action = kubernetes.Keep
	}
	return p.err
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(today.Add(-time.Hour)), Labels: map[string]string{
		"app": name, "app.kubernetes.io/part-of": "dapr",
	}}
}

func servicePod(name, version string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: meta(system, name), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "registry:5000/dapr:" + version}}}}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: name, Ready: true}},
	}
	return pod
}

// appPod is one of the Deployment orders, with a sidecar unless its version is
// empty.
func appPod(sidecar string) *corev1.Pod {
	yes := true
	pod := &corev1.Pod{ObjectMeta: meta("shop", "orders-5d4-x"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "orders:1"}}}}
	pod.Labels = map[string]string{"app": "orders"}
	pod.Annotations = map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "orders"}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "orders-5d4", Controller: &yes}}
	pod.Status.Phase = corev1.PodRunning
	if sidecar != "" {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "daprd", Image: "registry:5000/dapr:" + sidecar})
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "daprd", Ready: true}}
	}
	return pod
}

func bundle(t *testing.T, lifetime time.Duration) authority.Bundle {
	t.Helper()
	b, err := authority.New(authority.Options{
		ID:  security.ID{TrustDomain: "cluster.local", Namespace: system, AppID: security.Sentry},
		Now: today.Add(-24 * time.Hour), Lifetime: lifetime,
	})
	require.NoError(t, err)
	return b
}

func resourceOf(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &o.Object))
	return o
}

// sound is a cluster in which nothing is wrong.
func sound(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, objects: make(map[string]runtime.Object), now: today}
	one, ignore := int32(1), admissionv1.Ignore
	for _, name := range []string{"dapr-operator", "dapr-sentry", injector} {
		w.objects["pod "+name] = servicePod(name, "1.2.3")
		w.objects["deployment "+name] = &appsv1.Deployment{
			ObjectMeta: meta(system, name),
			Spec:       appsv1.DeploymentSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}},
			Status:     appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1},
		}
	}
	w.objects["pod dapr-placement-server"] = servicePod("dapr-placement-server", "1.2.3")
	w.objects["set"] = &appsv1.StatefulSet{
		ObjectMeta: meta(system, "dapr-placement-server"),
		Spec: appsv1.StatefulSetSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "dapr-placement-server"}},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "raft-log"}}},
		},
		Status: appsv1.StatefulSetStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1},
	}
	w.objects["claim"] = &corev1.PersistentVolumeClaim{
		ObjectMeta: meta(system, "raft-log-dapr-placement-server-0"), Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
	w.objects["class"] = &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}}
	w.trust(bundle(t, authority.Lifetime))
	service := &admissionv1.ServiceReference{Namespace: system, Name: injector}
	w.objects["webhook"] = &admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta("", injector), Webhooks: []admissionv1.MutatingWebhook{{
		Name: "sidecar-injector.dapr.io", FailurePolicy: &ignore,
		ClientConfig: admissionv1.WebhookClientConfig{Service: service, CABundle: w.objects["secret"].(*corev1.Secret).Data[authority.AnchorsKey]},
	}}}
	endpoints := meta(system, injector+"-1")
	endpoints.Labels = map[string]string{discoveryv1.LabelServiceName: injector}
	w.objects["endpoints"] = &discoveryv1.EndpointSlice{ObjectMeta: endpoints, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
	w.objects["app"] = appPod("1.2.3")
	w.resources = []runtime.Object{
		resourceOf(t, `{apiVersion: dapr.io/v1alpha1, kind: Configuration, metadata: {name: daprsystem, namespace: dapr-system}, spec: {mtls: {enabled: true}}}`),
		resourceOf(t, `{apiVersion: dapr.io/v1alpha1, kind: Component, metadata: {name: store, namespace: shop}, spec: {type: state.redis, version: v1,
			metadata: [{name: redisPassword, secretKeyRef: {name: redis, key: password}}]}}`),
	}
	w.objects["redis"] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "redis"}, Data: map[string][]byte{"password": []byte("hidden")}}
	w.plane = &fakePlane{
		release: &helm.Release{Name: "dapr", Namespace: system, Revision: 2, Status: helm.Deployed, Version: "1.2.3"},
		changes: []kubernetes.CRDChange{{Name: "components.dapr.io", Action: kubernetes.Keep}, {Name: "configurations.dapr.io", Action: kubernetes.Keep}},
	}
	w.mutate = func(pod *corev1.Pod) error {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "daprd", Image: "registry:5000/dapr:1.2.3"})
		return nil
	}
	return w
}

// trust puts a certificate authority into the cluster.
func (w *world) trust(b authority.Bundle) {
	w.objects["secret"] = &corev1.Secret{ObjectMeta: meta(system, "dapr-trust-bundle"), Data: map[string][]byte{
		authority.AnchorsKey: b.Anchors, authority.IssuerKey: b.Issuer, authority.SecretKey: b.Key,
	}}
	w.objects["configmap"] = &corev1.ConfigMap{ObjectMeta: meta(system, "dapr-trust-bundle"), Data: map[string]string{authority.AnchorsKey: string(b.Anchors)}}
	if hook, ok := w.objects["webhook"].(*admissionv1.MutatingWebhookConfiguration); ok {
		hook.Webhooks[0].ClientConfig.CABundle = b.Anchors
	}
}

func (w *world) webhook() *admissionv1.MutatingWebhook {
	return &w.objects["webhook"].(*admissionv1.MutatingWebhookConfiguration).Webhooks[0]
}

func (w *world) deployment(name string) *appsv1.Deployment {
	return w.objects["deployment "+name].(*appsv1.Deployment)
}

func (w *world) servicePod(name string) *corev1.Pod { return w.objects["pod "+name].(*corev1.Pod) }

func (w *world) app() *corev1.Pod { return w.objects["app"].(*corev1.Pod) }

func (w *world) add(text string) { w.resources = append(w.resources, resourceOf(w.t, text)) }

// examine returns all that the doctor finds.
func (w *world) examine() []Finding {
	w.t.Helper()
	var objects []runtime.Object
	for _, o := range w.objects {
		objects = append(objects, o)
	}
	set := fake.NewClientset(objects...)
	set.PrependReactor("create", "selfsubjectaccessreviews", func(a k8stesting.Action) (bool, runtime.Object, error) {
		review := a.(k8stesting.CreateAction).GetObject().(*authv1.SelfSubjectAccessReview)
		review.Status.Allowed = true
		for _, resource := range w.forbidden {
			review.Status.Allowed = review.Status.Allowed && resource != review.Spec.ResourceAttributes.Resource
		}
		return true, review, nil
	})
	set.PrependReactor("create", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) {
		pod := a.(k8stesting.CreateAction).GetObject().(*corev1.Pod).DeepCopy()
		return true, pod, w.mutate(pod)
	})
	for _, resource := range w.forbidden {
		set.PrependReactor("*", resource, func(a k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("no right"))
		})
	}
	dynamic := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "dapr.io", Version: "v1alpha1", Resource: "components"}:     "ComponentList",
		{Group: "dapr.io", Version: "v1alpha1", Resource: "configurations"}: "ConfigurationList",
	}, w.resources...)
	c := &Cluster{Client: &kubernetes.Client{Clientset: set, Dynamic: dynamic}, ControlPlane: w.plane, Version: "1.2.3", Now: func() time.Time { return w.now }}
	s, err := c.read(w.t.Context(), "v1.33.0")
	require.NoError(w.t, err)
	return c.all(w.t.Context(), s)
}

func TestASoundCluster(t *testing.T) {
	w := sound(t)
	seen := make(map[string]bool)
	for _, f := range w.examine() {
		require.Equal(t, OK, f.Level, "%+v", f)
		require.NotContains(t, f.Found, "hidden")
		seen[f.Check] = true
	}
	for _, c := range clusterChecks {
		require.True(t, seen[c.name], "the check %s finds nothing", c.name)
	}
}

func TestAClusterWithoutAControlPlane(t *testing.T) {
	w := sound(t)
	w.objects = nil
	found := w.examine()
	require.Len(t, found, 2)
	require.Equal(t, Error, found[1].Level)
	require.Equal(t, "dapr init -k", found[1].Fix)

	gone := Unreachable(errors.New("no answer"))
	require.Equal(t, Finding{Check: "cluster", Level: Error, Found: "no answer", Fix: gone.Fix}, gone)
}

// TestEveryClusterCheckFindsItsFault breaks one thing after the other.
func TestEveryClusterCheckFindsItsFault(t *testing.T) {
	day := 24 * time.Hour
	zero := int32(0)
	for _, tt := range []struct {
		name, check string
		breaks      func(*world)
		level       Level
		found, fix  string
	}{
		{"too few rights", "cluster", func(w *world) { w.forbidden = []string{"secrets"} },
			Warning, "you may not do what some of the checks need: get secrets", "administrator"},
		{"rights that are missing for a check", "certificates", func(w *world) { w.forbidden = []string{"secrets"} },
			Warning, "it cannot be told: read the Secret dapr-trust-bundle", ""},
		{"two control planes", "control-plane", func(w *world) {
			other := servicePod("dapr-sentry", "1.2.3")
			other.Namespace = "other"
			w.objects["other"] = other
		}, Warning, "control planes run in the namespaces dapr-system, other", "dapr uninstall -k -n NAMESPACE"},
		{"a service that is switched off", "control-plane", func(w *world) {
			w.deployment(injector).Spec.Replicas = &zero
			w.deployment(injector).Status = appsv1.DeploymentStatus{}
		}, Error, "dapr-sidecar-injector is scaled to 0", "kubectl scale deployment/dapr-sidecar-injector -n dapr-system --replicas=1"},
		{"a service that crashes", "control-plane", func(w *world) {
			w.deployment("dapr-sentry").Status.AvailableReplicas = 0
			w.servicePod("dapr-sentry").Status = corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "dapr-sentry", RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "no certificate"}},
			}}}
		}, Error, "dapr-sentry (0 of 1 ready): pod dapr-sentry: it ended with exit code 1, also when it was started again 3 times; its last words: ", "kubectl logs -n dapr-system deployment/dapr-sentry"},
		{"a service that is gone", "control-plane", func(w *world) { delete(w.objects, "deployment dapr-operator") },
			Error, "there is no Deployment dapr-operator", "dapr init -k -n dapr-system"},
		{"no release", "release", func(w *world) { w.plane.release = nil }, Info, "is not a Helm release", ""},
		{"a failed release", "release", func(w *world) { w.plane.release.Status = helm.Failed },
			Error, "revision 2 of the release has failed", "dapr upgrade -k -n dapr-system --runtime-version 1.2.3"},
		{"a release under way", "release", func(w *world) { w.plane.release.Status = helm.Pending },
			Warning, "revision 2 of the release has been under way since ", "dapr upgrade -k"},
		{"a control plane that is too old", "version-skew", func(w *world) {
			for _, name := range []string{"dapr-operator", "dapr-sentry", "dapr-placement-server", injector} {
				w.objects["pod "+name] = servicePod(name, "1.0.9")
			}
		}, Warning, "the control plane has version 1.0.9, this program 1.2.3", "dapr upgrade -k"},
		{"services of two versions", "version-skew", func(w *world) { w.objects["pod dapr-sentry"] = servicePod("dapr-sentry", "1.2.2") },
			Warning, "have the versions 1.2.2, 1.2.3", "dapr upgrade -k"},
		{"a sidecar of before", "version-skew", func(w *world) { w.objects["app"] = appPod("1.1.0") },
			Info, "1 pod with a sidecar of version 1.1.0, while the control plane has 1.2.3: shop/orders-5d4-x", "kubectl rollout restart deployment/orders -n shop"},
		{"a sidecar of long before", "version-skew", func(w *world) { w.objects["app"] = appPod("1.0.0") },
			Warning, "1 pod with a sidecar of version 1.0.0", "kubectl rollout restart deployment/orders -n shop"},
		{"no identities", "certificates", func(w *world) {
			w.resources[0] = resourceOf(w.t, `{apiVersion: dapr.io/v1alpha1, kind: Configuration, metadata: {name: daprsystem, namespace: dapr-system}, spec: {mtls: {enabled: false}}}`)
		}, Info, "mutual TLS is switched off", "global.mtls.enabled=true"},
		{"certificates that end", "certificates", func(w *world) { w.trust(bundle(w.t, 13*day)) },
			Warning, "the root certificate expires in 12 days, at 2026-03-13", "dapr mtls renew-certificate -k"},
		{"certificates that have ended", "certificates", func(w *world) { w.trust(bundle(w.t, 10*time.Hour)) },
			Error, "the root certificate has expired at 2026-02-28", "dapr mtls renew-certificate -k --restart"},
		{"certificates of tomorrow", "certificates", func(w *world) { w.now = today.Add(-10 * day) },
			Error, "the root certificate is good from 2026-02-28", "set the clocks"},
		{"a key that is another's", "certificates", func(w *world) {
			w.objects["secret"].(*corev1.Secret).Data[authority.SecretKey] = bundle(w.t, 0).Key
		}, Error, "the certificate authority cannot sign: issuer.key is not the key of issuer.crt", "dapr mtls renew-certificate"},
		{"no certificate authority", "certificates", func(w *world) { w.objects["secret"].(*corev1.Secret).Data = nil },
			Error, "has no ca.crt yet", "kubectl rollout restart deployment/dapr-sentry -n dapr-system"},
		{"roots that are no certificates", "certificates", func(w *world) {
			w.objects["secret"].(*corev1.Secret).Data[authority.AnchorsKey] = []byte("none")
		}, Error, "the roots cannot be read", "dapr mtls renew-certificate"},
		{"other roots in public", "trust-bundle", func(w *world) {
			w.objects["configmap"].(*corev1.ConfigMap).Data[authority.AnchorsKey] = string(bundle(w.t, 0).Anchors)
		}, Error, "the ConfigMap dapr-trust-bundle has other roots", "kubectl rollout restart deployment/dapr-sentry"},
		{"no roots in public", "trust-bundle", func(w *world) { delete(w.objects, "configmap") },
			Error, "read the ConfigMap dapr-trust-bundle", "kubectl rollout restart deployment/dapr-sentry"},
		{"no webhook", "webhook", func(w *world) { delete(w.objects, "webhook") },
			Error, "there is no MutatingWebhookConfiguration", "dapr init -k"},
		{"no roots in the webhook", "webhook", func(w *world) { w.webhook().ClientConfig.CABundle = nil },
			Error, "has no caBundle", "kubectl rollout restart deployment/dapr-sidecar-injector"},
		{"other roots in the webhook", "webhook", func(w *world) { w.webhook().ClientConfig.CABundle = bundle(w.t, 0).Anchors },
			Error, "has none of the roots", "kubectl rollout restart deployment/dapr-sidecar-injector"},
		{"some of the roots in the webhook", "webhook", func(w *world) {
			hook := w.webhook()
			hook.ClientConfig.CABundle = append(append([]byte{}, hook.ClientConfig.CABundle...), bundle(w.t, 0).Anchors...)
		}, Warning, "has not all roots", "kubectl rollout restart deployment/dapr-sidecar-injector"},
		{"no endpoint", "webhook", func(w *world) {
			no := false
			w.objects["endpoints"].(*discoveryv1.EndpointSlice).Endpoints[0].Conditions.Ready = &no
		}, Error, "has no ready endpoint", "kubectl get pods -n dapr-system -l app=dapr-sidecar-injector"},
		{"an injector that does nothing", "injection", func(w *world) { w.mutate = func(*corev1.Pod) error { return nil } },
			Error, "a pod that asks for a sidecar would get none in the namespace default", "kubectl rollout restart deployment/dapr-sidecar-injector"},
		{"an injector that does not answer", "injection", func(w *world) {
			w.mutate = func(*corev1.Pod) error {
				return apierrors.NewInternalError(errors.New(`failed calling webhook "sidecar-injector.dapr.io"`))
			}
		}, Error, "cannot be made in the namespace default: ", "kubectl logs -n dapr-system -l app=dapr-sidecar-injector"},
		{"namespaces that are not there", "injection", func(w *world) {
			w.webhook().NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"inject": "yes"}}
		}, Warning, "matches no namespace", "label a namespace"},
		{"a pod without its sidecar", "pods", func(w *world) { w.objects["app"] = appPod("") },
			Error, "the pod shop/orders-5d4-x asks for a sidecar and has none", "kubectl rollout restart deployment/orders -n shop"},
		{"a pod of nobody without its sidecar", "pods", func(w *world) {
			w.objects["app"] = appPod("")
			w.app().OwnerReferences = nil
		}, Error, "asks for a sidecar and has none", "delete the pod and create it again"},
		{"a sidecar that is not ready", "pods", func(w *world) { w.app().Status.ContainerStatuses[0].Ready = false },
			Warning, "the sidecar of the pod shop/orders-5d4-x is not ready: pod orders-5d4-x: it runs but does not say that it is ready", "dapr logs -k -a orders -n shop -p orders-5d4-x"},
		{"a sidecar that has just begun", "pods", func(w *world) {
			w.app().Status.ContainerStatuses[0].Ready = false
			w.app().CreationTimestamp = metav1.NewTime(today)
		}, Info, "is not ready", "dapr logs -k"},
		{"a class that is not there", "storage", func(w *world) {
			claim, class := w.objects["claim"].(*corev1.PersistentVolumeClaim), "slow"
			claim.Status.Phase, claim.Spec.StorageClassName = corev1.ClaimPending, &class
		}, Error, `is Pending: there is no StorageClass "slow"`, "storageClassName=NAME with one of the cluster's (fast)"},
		{"no default class", "storage", func(w *world) {
			w.objects["claim"].(*corev1.PersistentVolumeClaim).Status.Phase = corev1.ClaimPending
		}, Error, "it names no StorageClass, and the cluster has no default", "forceInMemoryLog=true"},
		{"a volume that is not there", "storage", func(w *world) {
			claim, class := w.objects["claim"].(*corev1.PersistentVolumeClaim), "fast"
			claim.Status.Phase, claim.Spec.StorageClassName = corev1.ClaimLost, &class
		}, Error, "is Lost", "kubectl describe pvc raft-log-dapr-placement-server-0 -n dapr-system"},
		{"a missing Secret", "resources", func(w *world) { delete(w.objects, "redis") },
			Error, `the Component shop/store takes redisPassword out of the Secret "redis", which does not exist`, "kubectl create secret generic redis -n shop --from-literal=password=VALUE"},
		{"a missing key", "resources", func(w *world) {
			w.objects["redis"].(*corev1.Secret).Data = map[string][]byte{"other": nil}
		}, Error, `which has no key "password", but other`, "kubectl edit components.dapr.io store -n shop"},
		{"a missing store", "resources", func(w *world) {
			w.add(`{apiVersion: dapr.io/v1alpha1, kind: Component, metadata: {name: vault, namespace: other}, spec: {type: secretstores.hashicorp.vault, version: v1}}`)
			w.add(`{apiVersion: dapr.io/v1alpha1, kind: Component, metadata: {name: a, namespace: shop}, auth: {secretStore: vault}, spec: {type: state.redis, version: v1,
				metadata: [{name: redisPassword, secretKeyRef: {name: a, key: b}}]}}`)
		}, Error, `the Component shop/a has its secrets in the store "vault", which is not in its namespace`, "create the store"},
		{"a mistake in a component", "resources", func(w *world) {
			w.add(`{apiVersion: dapr.io/v1alpha1, kind: Component, metadata: {name: a, namespace: shop}, spec: {type: stat.redis, version: v1}}`)
		}, Error, `unknown category "stat"; did you mean state?`, "kubectl edit components.dapr.io a -n shop"},
		{"a missing Configuration", "resources", func(w *world) { w.app().Annotations["dapr.io/config"] = "traced" },
			Error, "the annotation dapr.io/config of orders-5d4-x names the Configuration shop/traced, which does not exist", "kubectl apply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := sound(t)
			tt.breaks(w)
			var bad []Finding
			for _, f := range w.examine() {
				require.NotContains(t, f.Found+f.Fix, "hidden", "no secret is told")
				if f.Check == tt.check && f.Level != OK {
					bad = append(bad, f)
				}
			}
			require.NotEmpty(t, bad)
			require.Equal(t, tt.level, bad[0].Level, bad[0].Found)
			require.Contains(t, bad[0].Found, tt.found)
			require.Contains(t, bad[0].Fix, tt.fix)
			require.False(t, bad[0].Fixable)
		})
	}
}

func TestDefinitionsAreAppliedAgain(t *testing.T) {
	w := sound(t)
	w.plane.changes[0].Action, w.plane.changes[1].Action = kubernetes.Change, kubernetes.Create
	find := func() []Finding {
		var bad []Finding
		for _, f := range w.examine() {
			if f.Check == "definitions" && f.Level != OK {
				bad = append(bad, f)
			}
		}
		return bad
	}
	found := find()
	require.Len(t, found, 2)
	require.Equal(t, "the cluster lacks configurations.dapr.io", found[0].Found)
	require.Equal(t, "somebody has changed components.dapr.io", found[1].Found)
	require.Equal(t, Summary{Errors: 1, Warnings: 1, Fixable: 2}, Summarize(found))
	repaired := Repair(t.Context(), found)
	require.Equal(t, "applied components.dapr.io, configurations.dapr.io", repaired[0].Done)
	require.Equal(t, 1, w.plane.applied, "once for both")
	require.Empty(t, find())

	// Those of a newer control plane are not made older.
	w.plane.changes[0].Action = kubernetes.Change
	for _, name := range []string{"dapr-operator", "dapr-sentry", "dapr-placement-server", injector} {
		w.objects["pod "+name] = servicePod(name, "1.3.0")
	}
	found = find()
	require.Len(t, found, 1)
	require.Equal(t, Info, found[0].Level)
	require.False(t, found[0].Fixable)
}

func TestWhatRestartsAPod(t *testing.T) {
	yes := true
	for kind, want := range map[string]string{
		"ReplicaSet":  "kubectl rollout restart deployment/orders -n shop",
		"StatefulSet": "kubectl rollout restart statefulset/orders-5d4 -n shop",
		"Job":         "kubectl delete pod orders-5d4-x -n shop; the Job orders-5d4 makes it anew",
	} {
		pod := appPod("")
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: "orders-5d4", Controller: &yes}}
		require.Equal(t, want, restart(pod))
	}
}
