package operator

import (
	"maps"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hyperdapr/dapr/pkg/inject"
)

// workload is what matters here of something that makes pods: a cluster has
// thousands of them, most without a sidecar.
type workload struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              workloadSpec `json:"spec"`
}

type workloadSpec struct {
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	Template struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	} `json:"template"`
}

// DeepCopyObject implements runtime.Object.
func (w *workload) DeepCopyObject() runtime.Object {
	c := *w
	w.ObjectMeta.DeepCopyInto(&c.ObjectMeta)
	c.Spec.Selector.MatchLabels = maps.Clone(w.Spec.Selector.MatchLabels)
	c.Spec.Template.Metadata.Annotations = maps.Clone(w.Spec.Template.Metadata.Annotations)
	return &c
}

// annotations are those of its pods.
func (w *workload) annotations() map[string]string { return w.Spec.Template.Metadata.Annotations }

// shrink drops what no service is made of.
func (w *workload) shrink() {
	w.ObjectMeta = metav1.ObjectMeta{Name: w.Name, Namespace: w.Namespace, UID: w.UID, ResourceVersion: w.ResourceVersion}
	if !inject.Enabled(w.annotations()) {
		w.Spec = workloadSpec{}
		return
	}
	maps.DeleteFunc(w.annotations(), func(k, _ string) bool { return !strings.HasPrefix(k, inject.Prefix) })
}

// workloadKind is where the API has a kind of them.
type workloadKind struct {
	schema.GroupVersionKind
	plural string
}

var (
	deploymentKind  = workloadKind{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, "deployments"}
	statefulSetKind = workloadKind{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}, "statefulsets"}
	rolloutKind     = workloadKind{schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}, "rollouts"}
)
