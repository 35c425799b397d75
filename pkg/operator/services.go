package operator

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/service"
)

// services keeps a headless service APP-ID-dapr for every workload with a
// sidecar: that is the name other sidecars find the app by.
type services struct {
	c         *cluster
	p         *service.Process
	workloads map[schema.GroupVersionKind]cache.SharedIndexInformer
	queue     workqueue.TypedRateLimitingInterface[workload]

	created, updated, deleted *prometheus.CounterVec
}

// workload names something that makes pods.
type workload struct {
	kind            schema.GroupVersionKind
	namespace, name string
}

func newServices(c *cluster, o options, p *service.Process) *services {
	counter := func(what string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dapr_operator_service_" + what + "_total", Help: "Services of apps that were " + what + ".",
		}, []string{"app_id"})
		p.Metrics.MustRegister(v)
		return v
	}
	s := &services{
		c: c, p: p, workloads: make(map[schema.GroupVersionKind]cache.SharedIndexInformer),
		queue:   workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[workload]()),
		created: counter("created"), updated: counter("updated"), deleted: counter("deleted"),
	}
	watch := func(group, version, kind, plural string) {
		gvk := schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
		informer := c.informers.ForResource(schema.GroupVersionResource{Group: group, Version: version, Resource: plural}).Informer()
		enqueue := func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if u, ok := o.(*unstructured.Unstructured); ok {
				s.queue.Add(workload{gvk, u.GetNamespace(), u.GetName()})
			}
		}
		// Neither fails before the informer is started.
		_ = informer.SetTransform(keepWhatServicesNeed)
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: enqueue, UpdateFunc: func(_, o any) { enqueue(o) },
		})
		s.workloads[gvk] = informer
	}
	watch("apps", "v1", "Deployment", "deployments")
	watch("apps", "v1", "StatefulSet", "statefulsets")
	if o.rollouts {
		watch("argoproj.io", "v1alpha1", "Rollout", "rollouts")
	}
	return s
}

// keepWhatServicesNeed keeps the cache small: of a workload only its identity,
// selector and the annotations of its pods matter here.
func keepWhatServicesNeed(o any) (any, error) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return o, nil
	}
	kept := map[string]any{"apiVersion": u.Object["apiVersion"], "kind": u.Object["kind"]}
	for _, path := range [][]string{
		{"metadata", "name"}, {"metadata", "namespace"}, {"metadata", "uid"}, {"metadata", "resourceVersion"},
		{"spec", "selector", "matchLabels"}, {"spec", "template", "metadata", "annotations"},
	} {
		if v, found, _ := unstructured.NestedFieldNoCopy(u.Object, path...); found {
			if err := unstructured.SetNestedField(kept, v, path...); err != nil {
				return nil, err
			}
		}
	}
	return &unstructured.Unstructured{Object: kept}, nil
}

// run keeps the services until the context ends.
func (s *services) run(ctx context.Context) error {
	s.c.informers.Start(ctx.Done())
	for gvk, informer := range s.workloads {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("%w: %s", errSyncing, gvk.Kind)
		}
	}
	defer context.AfterFunc(ctx, s.queue.ShutDown)()
	for {
		w, shutdown := s.queue.Get()
		if shutdown {
			return nil
		}
		if err := s.reconcile(ctx, w); err != nil {
			if ctx.Err() == nil {
				s.p.Log.Warn(fmt.Sprintf("the service of %s %s/%s could not be kept; trying again", w.kind.Kind, w.namespace, w.name), "error", err)
			}
			s.queue.AddRateLimited(w)
		} else {
			s.queue.Forget(w)
		}
		s.queue.Done(w)
	}
}

// reconcile makes the service what the workload asks for. A workload that is
// gone needs nothing: its service goes with it.
func (s *services) reconcile(ctx context.Context, w workload) error {
	item, exists, err := s.workloads[w.kind].GetIndexer().GetByKey(w.namespace + "/" + w.name)
	if err != nil || !exists {
		return err
	}
	owner := item.(*unstructured.Unstructured)
	annotations, _, _ := unstructured.NestedStringMap(owner.Object, "spec", "template", "metadata", "annotations")
	if err := s.removeOthers(ctx, w, owner, annotations); err != nil {
		return err
	}
	if !inject.Enabled(annotations) {
		return nil
	}
	want, err := s.wanted(owner, w.kind, annotations)
	if err != nil {
		s.p.Log.Warn(fmt.Sprintf("%s %s/%s gets no service", w.kind.Kind, w.namespace, w.name), "error", err)
		return nil // trying again would not mend it
	}
	have, err := s.c.core.Services(w.namespace).Get(ctx, want.Name, metav1.GetOptions{})
	appID := inject.AppID(annotations)
	switch {
	case apierrors.IsNotFound(err):
		if _, err = s.c.core.Services(w.namespace).Create(ctx, want, metav1.CreateOptions{}); err == nil {
			s.created.WithLabelValues(appID).Inc()
		}
		return err
	case err != nil:
		return err
	case !metav1.IsControlledBy(have, owner):
		s.p.Log.Warn(fmt.Sprintf("%s %s/%s gets no service: %q is there already and belongs to something else; give the app another dapr.io/app-id", w.kind.Kind, w.namespace, w.name, want.Name))
		return nil
	}
	updated := have.DeepCopy()
	updated.Labels, updated.Annotations = merged(have.Labels, want.Labels), merged(have.Annotations, want.Annotations)
	updated.Spec.Selector, updated.Spec.Ports = want.Spec.Selector, want.Spec.Ports
	for i := range updated.Spec.Ports { // what the API server filled in stays
		updated.Spec.Ports[i].Protocol = corev1.ProtocolTCP
	}
	if reflect.DeepEqual(have, updated) {
		return nil
	}
	if _, err = s.c.core.Services(w.namespace).Update(ctx, updated, metav1.UpdateOptions{}); err == nil {
		s.updated.WithLabelValues(appID).Inc()
	}
	return err
}

// removeOthers deletes services that the workload has from before its app id
// changed, or its sidecar was taken away.
func (s *services) removeOthers(ctx context.Context, w workload, owner metav1.Object, annotations map[string]string) error {
	list, err := s.c.core.Services(w.namespace).List(ctx, metav1.ListOptions{LabelSelector: "dapr.io/enabled=true"})
	if err != nil {
		return err
	}
	keep := ""
	if inject.Enabled(annotations) {
		keep = inject.AppID(annotations) + "-dapr"
	}
	for i := range list.Items {
		have := &list.Items[i]
		if have.Name == keep || !metav1.IsControlledBy(have, owner) {
			continue
		}
		if err := s.c.core.Services(w.namespace).Delete(ctx, have.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		s.deleted.WithLabelValues(strings.TrimSuffix(have.Name, "-dapr")).Inc()
	}
	return nil
}

// wanted is the service that a workload's annotations ask for.
func (s *services) wanted(owner *unstructured.Unstructured, kind schema.GroupVersionKind, annotations map[string]string) (*corev1.Service, error) {
	config, _ := inject.Read(annotations)
	appID := inject.AppID(annotations)
	if appID == "" {
		return nil, fmt.Errorf("dapr.io/app-id is missing: without one, each pod is an app of its own that no service can name")
	}
	if err := inject.CheckAppID(appID); err != nil {
		return nil, err
	}
	selector, _, _ := unstructured.NestedStringMap(owner.Object, "spec", "selector", "matchLabels")
	if len(selector) == 0 {
		return nil, fmt.Errorf("it selects its pods by no labels")
	}
	about := map[string]string{"dapr.io/app-id": appID}
	if config.EnableMetrics {
		maps.Copy(about, map[string]string{
			"prometheus.io/probe": "true", "prometheus.io/scrape": "true", "prometheus.io/path": "/",
			"prometheus.io/port": strconv.Itoa(int(config.MetricsPort)),
		})
	}
	for pair := range strings.SplitSeq(annotations["dapr.io/sidecar-svc-annotations"], ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			about[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	port := func(name string, port, target int32) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Protocol: corev1.ProtocolTCP, Port: port, TargetPort: intstr.FromInt32(target)}
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: appID + "-dapr", Namespace: owner.GetNamespace(), Labels: map[string]string{"dapr.io/enabled": "true"}, Annotations: about,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, kind)},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: selector,
			Ports: []corev1.ServicePort{
				port("dapr-http", 80, 3500), port("dapr-grpc", config.GRPCPort, config.GRPCPort),
				port("dapr-internal", config.InternalGRPCPort, config.InternalGRPCPort), port("dapr-metrics", config.MetricsPort, config.MetricsPort),
			},
		},
	}, nil
}

// merged is what is there, with what is wanted over it.
func merged(have, want map[string]string) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = make(map[string]string, len(want))
	}
	maps.Copy(out, want)
	return out
}
