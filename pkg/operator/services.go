package operator

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/service"
)

// services keeps a headless service APP-ID-dapr for every workload with a
// sidecar: that is the name other sidecars find the app by.
type services struct {
	c         *cluster
	p         *service.Process
	workloads map[schema.GroupVersionKind]cache.SharedIndexInformer
	kept      cache.SharedIndexInformer // the services themselves
	queue     workqueue.TypedRateLimitingInterface[workloadKey]

	created, updated, deleted *prometheus.CounterVec
}

// workloadKey names a workload.
type workloadKey struct {
	kind            schema.GroupVersionKind
	namespace, name string
}

// byController is the index of services by the UID of what they belong to.
const byController = "controller"

// serviceLabel is on every service that is kept.
const serviceLabel = "dapr.io/enabled"

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
		queue:   workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[workloadKey]()),
		created: counter("created"), updated: counter("updated"), deleted: counter("deleted"),
	}
	s.kept = kubeapi.Informer(c.services.Where(serviceLabel+"=true"), c.namespace, 0, p.Log, func(*corev1.Service) {})
	// What fails here fails only after the start or the end.
	_ = s.kept.AddIndexers(cache.Indexers{byController: func(o any) ([]string, error) {
		owner := metav1.GetControllerOf(o.(*corev1.Service))
		if owner == nil {
			return nil, nil
		}
		return []string{string(owner.UID)}, nil
	}})
	// A service that somebody changes or deletes is mended at once.
	_, _ = s.kept.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, o any) { s.enqueueOwner(o) }, DeleteFunc: s.enqueueOwner,
	})
	kinds := []workloadKind{deploymentKind, statefulSetKind}
	if o.rollouts {
		kinds = append(kinds, rolloutKind)
	}
	for _, kind := range kinds {
		informer := kubeapi.Informer(kubeapi.Of[workload](c.client, kind.Group, kind.Version, kind.plural), c.namespace, resync, p.Log, (*workload).shrink)
		enqueue := func(o any) {
			if w, ok := o.(*workload); ok {
				s.queue.Add(workloadKey{kind.GroupVersionKind, w.Namespace, w.Name})
			}
		}
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: enqueue, UpdateFunc: func(_, o any) { enqueue(o) },
		})
		s.workloads[kind.GroupVersionKind] = informer
	}
	return s
}

func (s *services) enqueueOwner(o any) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	svc, ok := o.(*corev1.Service)
	if !ok {
		return
	}
	if owner := metav1.GetControllerOf(svc); owner != nil {
		kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind)
		if s.workloads[kind] != nil {
			s.queue.Add(workloadKey{kind, svc.Namespace, owner.Name})
		}
	}
}

// run keeps the services until the context ends.
func (s *services) run(ctx context.Context) error {
	var g errgroup.Group
	defer g.Wait() //nolint:errcheck // informers return none
	inform := func(informer cache.SharedIndexInformer) {
		g.Go(func() error {
			informer.RunWithContext(ctx)
			return nil
		})
	}
	inform(s.kept)
	if !cache.WaitForCacheSync(ctx.Done(), s.kept.HasSynced) {
		return nil // it was asked to end
	}
	for _, informer := range s.workloads {
		inform(informer)
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
func (s *services) reconcile(ctx context.Context, key workloadKey) error {
	item, exists, err := s.workloads[key.kind].GetIndexer().GetByKey(key.namespace + "/" + key.name)
	if err != nil || !exists {
		return err
	}
	w := item.(*workload)
	if err := s.removeOthers(ctx, w); err != nil {
		return err
	}
	if !inject.Enabled(w.annotations()) {
		return nil
	}
	want, err := wanted(w, key.kind)
	if err != nil {
		s.p.Log.Warn(fmt.Sprintf("%s %s/%s gets no service", key.kind.Kind, w.Namespace, w.Name), "error", err)
		return nil // trying again would not mend it
	}
	item, exists, err = s.kept.GetIndexer().GetByKey(want.Namespace + "/" + want.Name)
	if err != nil {
		return err
	}
	if exists {
		return s.update(ctx, w, item.(*corev1.Service), want)
	}
	_, err = s.c.services.Create(ctx, want.Namespace, want)
	switch {
	case apierrors.IsAlreadyExists(err): // without the label, or not heard of yet
		have, err := s.c.services.Get(ctx, want.Namespace, want.Name)
		if err != nil {
			return err
		}
		return s.update(ctx, w, have, want)
	case err == nil:
		s.created.WithLabelValues(inject.AppID(w.annotations())).Inc()
	}
	return err
}

// update makes a service that is there what it should be.
func (s *services) update(ctx context.Context, w *workload, have, want *corev1.Service) error {
	if !metav1.IsControlledBy(have, w) {
		s.p.Log.Warn(fmt.Sprintf("%s/%s gets no service: %q is there already and belongs to something else; give the app another dapr.io/app-id", w.Namespace, w.Name, want.Name))
		return nil
	}
	updated := have.DeepCopy()
	updated.Labels, updated.Annotations = merged(have.Labels, want.Labels), merged(have.Annotations, want.Annotations)
	updated.Spec.Selector, updated.Spec.Ports = want.Spec.Selector, want.Spec.Ports
	if reflect.DeepEqual(have, updated) {
		return nil
	}
	_, err := s.c.services.Update(ctx, have.Namespace, have.Name, updated)
	if err == nil {
		s.updated.WithLabelValues(inject.AppID(w.annotations())).Inc()
	}
	return err
}

// removeOthers deletes services that the workload has from before its app id
// changed, or its sidecar was taken away.
func (s *services) removeOthers(ctx context.Context, w *workload) error {
	items, err := s.kept.GetIndexer().ByIndex(byController, string(w.UID))
	if err != nil {
		return err
	}
	keep := ""
	if inject.Enabled(w.annotations()) {
		keep = inject.AppID(w.annotations()) + "-dapr"
	}
	for _, item := range items {
		have := item.(*corev1.Service)
		if have.Name == keep {
			continue
		}
		err := s.c.services.Delete(ctx, have.Namespace, have.Name)
		switch {
		case err == nil:
			s.deleted.WithLabelValues(strings.TrimSuffix(have.Name, "-dapr")).Inc()
		case !apierrors.IsNotFound(err):
			return err
		}
	}
	return nil
}

// wanted is the service that a workload's annotations ask for.
func wanted(w *workload, kind schema.GroupVersionKind) (*corev1.Service, error) {
	annotations := w.annotations()
	config, _ := inject.Read(annotations)
	appID := inject.AppID(annotations)
	if appID == "" {
		return nil, fmt.Errorf("dapr.io/app-id is missing: without one, each pod is an app of its own that no service can name")
	}
	if err := inject.CheckAppID(appID); err != nil {
		return nil, err
	}
	selector := w.Spec.Selector.MatchLabels
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
			Name: appID + "-dapr", Namespace: w.Namespace, Labels: map[string]string{serviceLabel: "true"}, Annotations: about,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w, kind)},
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
