package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/resource"
)

// checkPods looks for pods that should have a sidecar and have none, and for
// sidecars that are not ready.
func checkPods(ctx context.Context, s *snapshot) ([]Finding, error) {
	var found []Finding
	good := 0
	for i := range s.pods {
		pod := &s.pods[i]
		if !inject.Enabled(pod.Annotations) || pod.DeletionTimestamp != nil ||
			pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if !inject.HasSidecar(pod) {
			found = append(found, fault("the pod %s/%s asks for a sidecar and has none", pod.Namespace, pod.Name).
				because("it was made while the injector could not be reached, or by somebody whose pods get none; its app reaches nobody").
				mend("%s", restart(pod)))
			continue
		}
		if f, bad := s.sidecar(ctx, pod); bad {
			found = append(found, f)
			continue
		}
		good++
	}
	if good > 0 || len(found) == 0 {
		found = append(found, okay("%s with a sidecar that is ready", count(good, "pod")))
	}
	return found, nil
}

// sidecar tells why that of a pod is not ready.
func (s *snapshot) sidecar(ctx context.Context, pod *corev1.Pod) (Finding, bool) {
	t, troubled := s.Client.SidecarTrouble(ctx, pod)
	if !troubled {
		return Finding{}, false
	}
	level := Warning
	if s.Now().Sub(pod.CreationTimestamp.Time) < time.Minute {
		level = Info // it is on its way
	}
	return finding(level, "the sidecar of the pod %s/%s is not ready: %s", []any{pod.Namespace, pod.Name, inWords(t)}).
		because("its app cannot call anybody").
		mend("mend what its log names: dapr logs -k -a %s -n %s -p %s", inject.AppID(pod.Annotations), pod.Namespace, pod.Name), true
}

// checkStorage looks at the volumes of the services that keep something.
func checkStorage(ctx context.Context, s *snapshot) ([]Finding, error) {
	sets, err := s.Client.Clientset.AppsV1().StatefulSets(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: partOf})
	if err != nil {
		return nil, fmt.Errorf("list stateful sets: %w", err)
	}
	claims, err := s.Client.Clientset.CoreV1().PersistentVolumeClaims(s.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list persistent volume claims: %w", err)
	}
	var found []Finding
	bound := 0
	for i := range sets.Items {
		for j := range sets.Items[i].Spec.VolumeClaimTemplates {
			prefix := sets.Items[i].Spec.VolumeClaimTemplates[j].Name + "-" + sets.Items[i].Name + "-"
			for k := range claims.Items {
				claim := &claims.Items[k]
				switch {
				case !strings.HasPrefix(claim.Name, prefix):
				case claim.Status.Phase == corev1.ClaimBound:
					bound++
				default:
					found = append(found, s.unbound(ctx, claim))
				}
			}
		}
	}
	if len(found) == 0 {
		found = append(found, okay("%s of the control plane bound", count(bound, "volume")))
	}
	return found, nil
}

// unbound says why a claim has no volume.
func (s *snapshot) unbound(ctx context.Context, claim *corev1.PersistentVolumeClaim) Finding {
	f := fault("the volume claim %s in the namespace %s is %s", claim.Name, claim.Namespace, cmp.Or(string(claim.Status.Phase), "not bound")).
		because("its pod cannot start").mend("kubectl describe pvc %s -n %s", claim.Name, claim.Namespace)
	classes, err := s.Client.Clientset.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return f // the cluster says no more than that
	}
	var names []string
	hasDefault := false
	for i := range classes.Items {
		names = append(names, classes.Items[i].Name)
		hasDefault = hasDefault || classes.Items[i].Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
	}
	const choose = "dapr upgrade -k --set dapr_placement.volumeclaims.storageClassName=NAME with one of the cluster's (%s), or --set dapr_placement.cluster.forceInMemoryLog=true"
	class := claim.Spec.StorageClassName
	switch {
	case class != nil && *class != "" && !slices.Contains(names, *class):
		f.Found += fmt.Sprintf(": there is no StorageClass %q", *class)
		return f.mend(choose, cmp.Or(few(names), "it has none"))
	case (class == nil || *class == "") && !hasDefault:
		f.Found += ": it names no StorageClass, and the cluster has no default"
		return f.mend(choose, cmp.Or(few(names), "it has none"))
	}
	return f
}

// builtIn is the secret store that every sidecar in a cluster has.
const builtIn = "kubernetes"

// checkClusterResources reads Components and Configurations as a sidecar does,
// and looks for the secrets, stores and Configurations that are named.
func checkClusterResources(ctx context.Context, s *snapshot) ([]Finding, error) {
	var found []Finding
	components, mistakes, err := load[*resource.Component](ctx, s, kubernetes.Components)
	if err != nil {
		return nil, err
	}
	found = append(found, mistakes...)
	configurations, mistakes, err := load[*resource.Configuration](ctx, s, kubernetes.Configurations)
	if err != nil {
		return found, err
	}
	found = append(found, mistakes...)
	secrets := make(map[string]secret)
	for _, c := range components {
		more, err := s.references(ctx, c, components, secrets)
		if err != nil {
			return found, err
		}
		found = append(found, more...)
	}
	found = append(found, s.missingConfigurations(configurations)...)
	if len(found) == 0 {
		found = append(found, okay("%s and %s without a mistake", count(len(components), "Component"), count(len(configurations), "Configuration")))
	}
	return found, nil
}

// load reads all resources of a kind, strictly.
func load[T resource.Resource](ctx context.Context, s *snapshot, plural string) ([]T, []Finding, error) {
	kind := schema.GroupVersionResource{Group: resource.Group, Version: "v1alpha1", Resource: plural}
	list, err := s.Client.Dynamic.Resource(kind).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil, nil // the check of the definitions tells of it
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list %s: %w", plural, err)
	}
	var all []T
	var found []Finding
	for i := range list.Items {
		item := &list.Items[i]
		unstructured.RemoveNestedField(item.Object, "status")
		text, err := json.Marshal(item.Object) // which is YAML, too
		if err != nil {
			return nil, nil, err
		}
		name := fmt.Sprintf("%s %s/%s", item.GetKind(), item.GetNamespace(), item.GetName())
		loaded, err := resource.Parse(name, text)
		for _, m := range mistakes(err) {
			m.Why = "a sidecar does not load it"
			found = append(found, m.mend("kubectl edit %s.%s %s -n %s", plural, resource.Group, item.GetName(), item.GetNamespace()))
		}
		all = append(all, resource.Select[T](loaded)...)
	}
	return all, found, nil
}

// secret is what is known of a Secret: its keys, or that it is not there.
type secret struct {
	keys    []string
	missing bool
}

// references looks for what a component has its secrets in. Only names and keys
// are looked at, never a value.
func (s *snapshot) references(ctx context.Context, c *resource.Component, all []*resource.Component, known map[string]secret) ([]Finding, error) {
	edit := fmt.Sprintf("kubectl edit components.%s %s -n %s", resource.Group, c.Name(), c.Namespace())
	store := c.SecretStore(builtIn)
	switch {
	case store == "":
		return nil, nil
	case store != builtIn:
		if slices.ContainsFunc(all, func(o *resource.Component) bool {
			return o.Name() == store && o.Namespace() == c.Namespace() && strings.HasPrefix(o.Spec.Type, "secretstores.")
		}) {
			return nil, nil
		}
		return []Finding{fault("the Component %s/%s has its secrets in the store %q, which is not in its namespace", c.Namespace(), c.Name(), store).
			because("it is never opened").mend("create the store, or: %s", edit)}, nil
	}
	var found []Finding
	for _, p := range c.Spec.Metadata {
		ref := p.SecretKeyRef
		if ref == nil || p.Value != nil {
			continue
		}
		key := c.Namespace() + "/" + ref.Name
		if _, asked := known[key]; !asked {
			there, err := s.secret(ctx, c.Namespace(), ref.Name)
			if err != nil {
				return found, err
			}
			known[key] = there
		}
		switch there := known[key]; {
		case there.missing:
			found = append(found, fault("the Component %s/%s takes %s out of the Secret %q, which does not exist", c.Namespace(), c.Name(), p.Name, ref.Name).
				because("it is never opened").mend("kubectl create secret generic %s -n %s --from-literal=%s=VALUE, or: %s", ref.Name, c.Namespace(), cmp.Or(ref.Key, ref.Name), edit))
		case !slices.Contains(there.keys, cmp.Or(ref.Key, ref.Name)):
			found = append(found, fault("the Component %s/%s takes %s out of the Secret %q, which has no key %q, but %s", c.Namespace(), c.Name(), p.Name, ref.Name, cmp.Or(ref.Key, ref.Name), cmp.Or(few(there.keys), "none")).
				because("it is never opened").mend("%s", edit))
		}
	}
	return found, nil
}

func (s *snapshot) secret(ctx context.Context, namespace, name string) (secret, error) {
	found, err := s.Client.Clientset.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return secret{missing: true}, nil
	}
	if err != nil {
		return secret{}, fmt.Errorf("read the Secret %s/%s: %w", namespace, name, err)
	}
	var keys []string
	for key := range found.Data {
		keys = append(keys, key)
	}
	return secret{keys: keys}, nil
}

// missingConfigurations finds pods whose Configuration is not there.
func (s *snapshot) missingConfigurations(all []*resource.Configuration) []Finding {
	pods := make(map[string][]string)
	for i := range s.pods {
		pod := &s.pods[i]
		name := pod.Annotations[inject.Prefix+"config"]
		if name == "" || !inject.Enabled(pod.Annotations) || pod.DeletionTimestamp != nil {
			continue
		}
		if !slices.ContainsFunc(all, func(c *resource.Configuration) bool { return c.Name() == name && c.Namespace() == pod.Namespace }) {
			key := pod.Namespace + "/" + name
			pods[key] = append(pods[key], pod.Name)
		}
	}
	var found []Finding
	for key, names := range pods {
		found = append(found, fault("the annotation dapr.io/config of %s names the Configuration %s, which does not exist", few(names), key).
			because("the sidecar does not start with it").mend("kubectl apply the Configuration, or change the annotation"))
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Found, b.Found) })
	return found
}
