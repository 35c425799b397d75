package operator

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/kubeapi"
)

// watchdog has pods made anew that should have a sidecar and have none: they
// were made while the injector could not be reached.
type watchdog struct {
	c   *cluster
	o   options
	log *slog.Logger
}

func newWatchdog(c *cluster, o options, log *slog.Logger) *watchdog {
	return &watchdog{c: c, o: o, log: log}
}

// run looks as often as the flags say, until the context ends.
func (w *watchdog) run(ctx context.Context) error {
	interval := w.o.watchInterval
	if interval == 0 && !w.o.watchOnce {
		<-ctx.Done()
		return nil
	}
	for {
		looked, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it is the end that broke the look off
		case err != nil:
			w.log.Warn("pods without their sidecar were not all looked for", "error", err)
		case looked && w.o.watchOnce:
			<-ctx.Done()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(interval, time.Second)):
		}
	}
}

// look goes once over all pods that nobody has marked, unless the injector is
// not there: a pod made now would miss its sidecar again.
func (w *watchdog) look(ctx context.Context) (looked bool, err error) {
	if ready, err := w.injectorReady(ctx); err != nil || !ready {
		return false, err
	}
	pause := time.Minute / time.Duration(max(w.o.restartsPerMin, 1))
	options := metav1.ListOptions{LabelSelector: "!" + inject.LabelInjected, Limit: 100}
	for {
		pods, err := w.c.pods.List(ctx, w.o.watchNamespace, options)
		if err != nil {
			return false, err
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			if !inject.Enabled(pod.Annotations) || pod.DeletionTimestamp != nil || hasEnded(pod) {
				continue
			}
			if inject.HasSidecar(pod) {
				if err := w.mark(ctx, pod); err != nil {
					return false, err
				}
				continue
			}
			if metav1.GetControllerOf(pod) == nil {
				continue // nobody would make it anew
			}
			w.log.Info(fmt.Sprintf("pod %s/%s has no sidecar: deleting it, so that it is made anew", pod.Namespace, pod.Name))
			if err := w.c.pods.Delete(ctx, pod.Namespace, pod.Name); err != nil && !apierrors.IsNotFound(err) {
				return false, err
			}
			select {
			case <-ctx.Done():
				return false, nil
			case <-time.After(pause):
			}
		}
		if options.Continue = pods.Continue; options.Continue == "" {
			return true, nil
		}
	}
}

// hasEnded tells whether a pod, as of a job, is of no more use than its logs.
func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func (w *watchdog) mark(ctx context.Context, pod *corev1.Pod) error {
	if !w.o.patchLabels {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:"true"}}}`, inject.LabelInjected)
	_, err := w.c.pods.Patch(ctx, pod.Namespace, pod.Name, types.MergePatchType, []byte(patch))
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (w *watchdog) injectorReady(ctx context.Context) (bool, error) {
	type deployment struct {
		Status struct {
			AvailableReplicas int `json:"availableReplicas"`
		} `json:"status"`
	}
	deployments := kubeapi.Of[deployment](w.c.client, deploymentKind.Group, deploymentKind.Version, deploymentKind.plural)
	d, err := deployments.Get(ctx, w.o.namespace, "dapr-sidecar-injector")
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && d.Status.AvailableReplicas > 0, err
}
