package controlplane

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// resources are the API's names of the kinds in the chart, and whether they
// have no namespace. The cluster would tell, but a right has to be known before.
var resources = map[schema.GroupKind]struct {
	name string
	wide bool
}{
	{Kind: "ConfigMap"}:                                                           {name: "configmaps"},
	{Kind: "ResourceQuota"}:                                                       {name: "resourcequotas"},
	{Kind: "Secret"}:                                                              {name: "secrets"},
	{Kind: "Service"}:                                                             {name: "services"},
	{Kind: "ServiceAccount"}:                                                      {name: "serviceaccounts"},
	{Group: "apps", Kind: "Deployment"}:                                           {name: "deployments"},
	{Group: "apps", Kind: "StatefulSet"}:                                          {name: "statefulsets"},
	{Group: "policy", Kind: "PodDisruptionBudget"}:                                {name: "poddisruptionbudgets"},
	{Group: "dapr.io", Kind: "Configuration"}:                                     {name: "configurations"},
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:                            {name: "roles"},
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:                     {name: "rolebindings"},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:                     {name: "clusterroles", wide: true},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}:              {name: "clusterrolebindings", wide: true},
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}: {name: "mutatingwebhookconfigurations", wide: true},
}

// rightsFor are the rights to do something with objects. Kinds that are not the
// chart's own are left to the cluster to allow or refuse.
func rightsFor(objects []*unstructured.Unstructured, verbs ...string) []kubernetes.Right {
	var rights []kubernetes.Right
	for _, o := range objects {
		group := o.GroupVersionKind().Group
		r, known := resources[schema.GroupKind{Group: group, Kind: o.GetKind()}]
		if !known {
			continue
		}
		namespace := o.GetNamespace()
		if r.wide {
			namespace = ""
		}
		for _, verb := range verbs {
			rights = append(rights, kubernetes.Right{Verb: verb, Group: group, Resource: r.name, Namespace: namespace})
		}
	}
	return rights
}

// alwaysNeeded are the rights that do not depend on the chart: to apply
// CustomResourceDefinitions, and to keep what Helm knows of a release.
func alwaysNeeded(namespace string) []kubernetes.Right {
	var rights []kubernetes.Right
	for _, verb := range []string{"create", "get", "patch"} {
		rights = append(rights, kubernetes.Right{Verb: verb, Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"})
	}
	for _, verb := range []string{"create", "delete", "get", "list", "update"} {
		rights = append(rights, kubernetes.Right{Verb: verb, Resource: "secrets", Namespace: namespace})
	}
	return rights
}

// toRemove is the right to remove what the chart does not have.
func toRemove(namespace string) kubernetes.Right {
	return kubernetes.Right{Verb: "delete", Group: "coordination.k8s.io", Resource: "leases", Namespace: namespace}
}

// toWait are the rights to see whether pods are ready.
func toWait(namespace string) []kubernetes.Right {
	return []kubernetes.Right{
		{Verb: "list", Group: "apps", Resource: "deployments", Namespace: namespace},
		{Verb: "list", Group: "apps", Resource: "statefulsets", Namespace: namespace},
		{Verb: "list", Resource: "pods", Namespace: namespace},
	}
}
