package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// Cluster is what the checks of a cluster look at.
type Cluster struct {
	Client *kubernetes.Client
	// ControlPlane knows what this program would install.
	ControlPlane ControlPlane
	// Version is that of this program.
	Version string
	// Now is the clock.
	Now func() time.Time
}

// ControlPlane is what is needed of one; *controlplane.ControlPlane is one, and
// documents the methods.
type ControlPlane interface {
	Release(ctx context.Context, namespace string) (*helm.Release, error)
	PlanDefinitions(ctx context.Context, namespace string) ([]kubernetes.CRDChange, error)
	ApplyDefinitions(ctx context.Context, namespace string) error
}

// snapshot is a cluster at the beginning of an examination.
type snapshot struct {
	*Cluster
	server   string
	services []kubernetes.Service
	// namespace is the control plane's.
	namespace string
	pods      []corev1.Pod
}

// clusterChecks are all checks of a cluster, in the order of the report: what
// others depend on goes first.
var clusterChecks = []check[*snapshot]{
	{"cluster", checkCluster},
	{"control-plane", checkControlPlane},
	{"release", checkRelease},
	{"version-skew", checkSkew},
	{"certificates", checkCertificates},
	{"trust-bundle", checkTrustBundle},
	{"definitions", checkDefinitions},
	{"webhook", checkWebhook},
	{"injection", checkInjection},
	{"pods", checkPods},
	{"storage", checkStorage},
	{"resources", checkClusterResources},
}

// Examine runs all checks. When there is nothing to look at, the only finding
// says why.
func (c *Cluster) Examine(ctx context.Context) []Finding {
	// What the server warns of, such as a pod that would be too privileged, is
	// about what is never made.
	ctx = kubernetes.WithWarnings(ctx, func(string) {})
	s, err := c.look(ctx)
	if err != nil {
		return []Finding{Unreachable(err)}
	}
	return c.all(ctx, s)
}

// all runs the checks, but for those of a control plane when there is none.
func (*Cluster) all(ctx context.Context, s *snapshot) []Finding {
	checks := clusterChecks
	if len(s.services) == 0 {
		checks = checks[:2]
	}
	return examine(ctx, s, checks)
}

// Unreachable is the finding that there is no cluster to examine.
func Unreachable(err error) Finding {
	f := fault("%v", err).mend("choose the cluster with --kubeconfig and --context; \"kubectl config get-contexts\" lists them")
	f.Check = clusterChecks[0].name
	return f
}

func (c *Cluster) look(ctx context.Context) (*snapshot, error) {
	server, err := c.Client.Reach(ctx)
	if err != nil {
		return nil, err
	}
	return c.read(ctx, server.GitVersion)
}

// read takes the snapshot of a cluster that has answered.
func (c *Cluster) read(ctx context.Context, server string) (_ *snapshot, err error) {
	s := &snapshot{Cluster: c, server: server, namespace: controlplane.DefaultNamespace}
	if s.services, err = c.Client.ControlPlane(ctx); err != nil {
		return nil, err
	}
	if len(s.services) > 0 {
		s.namespace = s.services[0].Namespace
	}
	options := metav1.ListOptions{Limit: 500}
	for {
		page, err := c.Client.Clientset.CoreV1().Pods("").List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list the pods of all namespaces: %w", err)
		}
		s.pods = append(s.pods, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return s, nil
		}
	}
}

// rights are those that the checks need beside the ones that look needed.
func (s *snapshot) rights() []kubernetes.Right {
	return []kubernetes.Right{
		{Verb: "list", Group: "apps", Resource: "deployments", Namespace: s.namespace},
		{Verb: "list", Group: "apps", Resource: "statefulsets", Namespace: s.namespace},
		{Verb: "list", Resource: "persistentvolumeclaims", Namespace: s.namespace},
		{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: s.namespace},
		{Verb: "list", Group: "dapr.io", Resource: "components"},
		{Verb: "list", Group: "dapr.io", Resource: "configurations"},
		{Verb: "list", Resource: "namespaces"},
		{Verb: "get", Resource: "secrets"},
		{Verb: "get", Resource: "configmaps", Namespace: s.namespace},
		{Verb: "get", Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"},
		{Verb: "get", Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"},
		{Verb: "patch", Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}, // to ask what an application would change
		{Verb: "create", Resource: "pods"},                                                    // to ask what would become of one
	}
}

// checkCluster says which cluster it is, and whether the user may look at all of
// it.
func checkCluster(ctx context.Context, s *snapshot) ([]Finding, error) {
	found := []Finding{okay("%s answers: Kubernetes %s", s.Client, s.server)}
	if len(s.services) == 0 {
		return found, nil
	}
	err := s.Client.Require(ctx, s.rights())
	if missing, ok := err.(*kubernetes.MissingRightsError); ok { //nolint:errorlint // Require says that it is one, unwrapped
		var rights []string
		for _, r := range missing.Missing {
			rights = append(rights, strings.TrimSpace(r.Verb+" "+r.Resource))
		}
		slices.Sort(rights)
		return append(found, warn("you may not do what some of the checks need: %s", strings.Join(slices.Compact(rights), ", ")).
			because("what they would have looked at is not known").mend("ask the cluster's administrator, or choose another user with --context")), nil
	}
	return found, err
}

// checkControlPlane looks at every service.
func checkControlPlane(ctx context.Context, s *snapshot) ([]Finding, error) {
	if len(s.services) == 0 {
		return []Finding{fault("no control plane runs in %s", s.Client).mend("dapr init -k")}, nil
	}
	var namespaces []string
	for _, service := range s.services {
		namespaces = append(namespaces, service.Namespace)
	}
	slices.Sort(namespaces)
	var found []Finding
	if namespaces = slices.Compact(namespaces); len(namespaces) > 1 {
		found = append(found, warn("control planes run in the namespaces %s", few(namespaces)).
			because("both would put sidecars into the same pods; only the first is examined here").mend("dapr uninstall -k -n NAMESPACE, for those that are not wanted"))
	}
	workloads, err := s.Client.Workloads(ctx, s.namespace, partOf)
	if err != nil {
		return found, err
	}
	ready := 0
	for _, w := range workloads {
		switch {
		case w.Wanted == 0:
			found = append(found, fault("%s is scaled to 0", w.Name).
				mend("kubectl scale %s/%s -n %s --replicas=1", strings.ToLower(w.Kind), w.Name, s.namespace))
		case w.Done:
			ready++
		default:
			troubles, err := s.Client.Troubles(ctx, s.namespace, w)
			if err != nil {
				return found, err
			}
			found = append(found, notReady(w, troubles, s.namespace))
		}
	}
	for _, needed := range []string{"dapr-operator", "dapr-sentry"} {
		if !slices.ContainsFunc(workloads, func(w kubernetes.Workload) bool { return w.Name == needed }) {
			found = append(found, fault("there is no Deployment %s in the namespace %s", needed, s.namespace).
				mend("%s", s.reinstall()))
		}
	}
	if ready > 0 {
		found = append(found, okay("%s in the namespace %s ready", count(ready, "service"), s.namespace))
	}
	return found, nil
}

// reinstall is what brings back objects that somebody has deleted: an upgrade to
// the same version finds nothing to do.
func (s *snapshot) reinstall() string {
	return fmt.Sprintf("dapr uninstall -k -n %s; dapr init -k -n %s; and restart the apps, which get new identities", s.namespace, s.namespace)
}

// partOf is the selector of the control plane's Deployments and StatefulSets.
const partOf = "app.kubernetes.io/part-of=dapr"

func notReady(w kubernetes.Workload, troubles []kubernetes.Trouble, namespace string) Finding {
	var reasons []string
	for _, t := range troubles {
		reasons = append(reasons, inWords(t))
	}
	why := strings.Join(reasons, "; ")
	if why == "" {
		why = "its newest pods are still being made"
	}
	return fault("%s: %s", w, why).
		mend("kubectl logs -n %s %s/%s --all-containers --tail=50; kubectl describe pods -n %s -l app=%s", namespace, strings.ToLower(w.Kind), w.Name, namespace, w.Name)
}

// inWords is a trouble with the last word of the container's log.
func inWords(t kubernetes.Trouble) string {
	if len(t.Log) == 0 {
		return t.String()
	}
	return fmt.Sprintf("%s; its last words: %s", t, t.Log[len(t.Log)-1])
}

// checkRelease looks for an installation or an upgrade that was broken off.
func checkRelease(ctx context.Context, s *snapshot) ([]Finding, error) {
	r, err := s.ControlPlane.Release(ctx, s.namespace)
	switch {
	case err != nil:
		return nil, err
	case r == nil:
		return []Finding{info("the control plane in the namespace %s is not a Helm release", s.namespace).
			because("\"dapr upgrade -k\" and \"dapr uninstall -k\" cannot help with it").mend("change it with what installed it")}, nil
	case r.Status == helm.Pending:
		return []Finding{warn("revision %d of the release has been under way since %s", r.Revision, r.Updated.Format(time.DateTime)).
			because("nothing else can be done to it until its end").mend("wait; if nobody is at it any more: dapr upgrade -k -n %s --runtime-version %s", s.namespace, s.Version)}, nil
	case r.Status == helm.Failed:
		return []Finding{fault("revision %d of the release has failed", r.Revision).
			because("the control plane may be half of one version and half of another").
			mend("dapr upgrade -k -n %s --runtime-version %s", s.namespace, s.Version)}, nil
	}
	return []Finding{okay("revision %d of the release is version %s", r.Revision, r.Version)}, nil
}

// restart is the command that makes a pod anew.
func restart(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	switch {
	case owner == nil:
		return fmt.Sprintf("delete the pod and create it again: kubectl delete pod %s -n %s", pod.Name, pod.Namespace)
	case owner.Kind == "ReplicaSet":
		// A Deployment names its ReplicaSets after itself and a hash.
		if i := strings.LastIndex(owner.Name, "-"); i > 0 {
			return fmt.Sprintf("kubectl rollout restart deployment/%s -n %s", owner.Name[:i], pod.Namespace)
		}
	case owner.Kind == "StatefulSet", owner.Kind == "DaemonSet":
		return fmt.Sprintf("kubectl rollout restart %s/%s -n %s", strings.ToLower(owner.Kind), owner.Name, pod.Namespace)
	}
	return fmt.Sprintf("kubectl delete pod %s -n %s; the %s %s makes it anew", pod.Name, pod.Namespace, owner.Kind, owner.Name)
}

// forbidden tells that the user may not look; checkCluster has said so.
func forbidden(err error) bool { return apierrors.IsForbidden(err) }
