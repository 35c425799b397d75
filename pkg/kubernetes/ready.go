package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// diagnosisTimeout bounds the look at what went wrong, which begins when the
// time to get ready is over.
const diagnosisTimeout = 10 * time.Second

// Workload is a Deployment or a StatefulSet, and how far its pods are.
type Workload struct {
	Kind, Name string
	// Wanted and Ready count pods. Ready ones are of the newest template.
	Wanted, Ready int32
	// Done tells that every pod is of the newest template and ready, and that no
	// older one is left.
	Done bool

	selector *metav1.LabelSelector
	// refused is why the controller cannot make pods, such as a quota.
	refused string
}

func (w Workload) String() string {
	return fmt.Sprintf("%s (%d of %d ready)", w.Name, w.Ready, w.Wanted)
}

// Watcher is told how a wait goes on. Both functions may be nil.
type Watcher struct {
	// Begin is called when a workload's turn comes, and what it returns when the
	// wait for it is over.
	Begin func(Workload) (done func(error))
	// Note is called once for every trouble that shows up meanwhile.
	Note func(Trouble)
}

// NotReadyError tells which workloads did not get ready in time, and why.
type NotReadyError struct {
	Workloads []Workload
	Troubles  []Trouble
}

func (e *NotReadyError) Error() string {
	var b strings.Builder
	names := make([]string, 0, len(e.Workloads))
	for _, w := range e.Workloads {
		names = append(names, w.String())
	}
	fmt.Fprintf(&b, "not ready in time: %s", strings.Join(names, ", "))
	said := make(map[string]bool)
	for _, t := range e.Troubles {
		what := t.what()
		if said[what] && len(t.Log) == 0 {
			what = "the same"
		}
		said[what] = true
		fmt.Fprintf(&b, "\n  %s%s", t.who(), what)
		for _, line := range t.Log {
			fmt.Fprintf(&b, "\n    | %s", line)
		}
	}
	return b.String()
}

// WaitReady waits for the Deployments and StatefulSets with the given labels,
// one after the other. When the context's time is over, the error is a
// *NotReadyError.
func (c *Client) WaitReady(ctx context.Context, namespace, selector string, watch Watcher) error {
	workloads, err := c.Workloads(ctx, namespace, selector)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return c.notReady(context.WithoutCancel(ctx), namespace, selector)
	}
	if err != nil {
		return err
	}
	noted := make(map[string]bool)
	for _, w := range workloads {
		done := func(error) {}
		if watch.Begin != nil {
			done = watch.Begin(w)
		}
		err := c.waitFor(ctx, namespace, w, func(t Trouble) {
			if key := t.Pod + t.Container + t.Reason; watch.Note != nil && !noted[key] {
				noted[key] = true
				watch.Note(t)
			}
		})
		done(err)
		if errors.Is(err, context.DeadlineExceeded) {
			return c.notReady(context.WithoutCancel(ctx), namespace, selector)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) waitFor(ctx context.Context, namespace string, w Workload, note func(Trouble)) error {
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		now, err := c.workload(ctx, namespace, w.Kind, w.Name)
		if err != nil && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil || now.Done {
			return err == nil, err
		}
		troubles, err := c.troublesOf(ctx, namespace, now)
		if err != nil {
			return false, nil //nolint:nilerr // the wait goes on: its end tells what is wrong
		}
		for _, t := range troubles {
			if !t.passing() {
				note(t)
			}
		}
		return false, nil
	})
}

// notReady looks at everything that is not ready.
func (c *Client) notReady(ctx context.Context, namespace, selector string) error {
	ctx, cancel := context.WithTimeout(ctx, diagnosisTimeout)
	defer cancel()
	workloads, err := c.Workloads(ctx, namespace, selector)
	if err != nil {
		return fmt.Errorf("not ready in time, and no word why: %w", err)
	}
	failure := &NotReadyError{}
	for _, w := range workloads {
		if w.Done {
			continue
		}
		failure.Workloads = append(failure.Workloads, w)
		troubles, err := c.Troubles(ctx, namespace, w)
		if err != nil {
			return fmt.Errorf("%w; no word why: %w", failure, err)
		}
		failure.Troubles = append(failure.Troubles, troubles...)
	}
	return failure
}

// Troubles are why a workload is not ready, with what events and logs tell.
func (c *Client) Troubles(ctx context.Context, namespace string, w Workload) ([]Trouble, error) {
	troubles, err := c.troublesOf(ctx, namespace, w)
	for i := range troubles {
		c.explainTrouble(ctx, namespace, &troubles[i])
	}
	return troubles, err
}

// SidecarTrouble is why the sidecar of a pod is not ready, with what events and
// logs tell.
func (c *Client) SidecarTrouble(ctx context.Context, pod *corev1.Pod) (Trouble, bool) {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name != sidecarName {
				continue
			}
			t, found := ofContainer(pod.Name, &statuses[i])
			if found {
				c.explainTrouble(ctx, pod.Namespace, &t)
			}
			return t, found
		}
	}
	return Trouble{}, false // its containers are still to be made
}

// Workloads returns the Deployments and StatefulSets with the given labels,
// sorted by name.
func (c *Client) Workloads(ctx context.Context, namespace, selector string) ([]Workload, error) {
	options := metav1.ListOptions{LabelSelector: selector}
	deployments, err := c.Clientset.AppsV1().Deployments(namespace).List(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	sets, err := c.Clientset.AppsV1().StatefulSets(namespace).List(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("list stateful sets: %w", err)
	}
	var all []Workload
	for i := range deployments.Items {
		all = append(all, ofDeployment(&deployments.Items[i]))
	}
	for i := range sets.Items {
		all = append(all, ofStatefulSet(&sets.Items[i]))
	}
	slices.SortFunc(all, func(a, b Workload) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func (c *Client) workload(ctx context.Context, namespace, kind, name string) (Workload, error) {
	if kind == "StatefulSet" {
		set, err := c.Clientset.AppsV1().StatefulSets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return Workload{}, err
		}
		return ofStatefulSet(set), nil
	}
	deployment, err := c.Clientset.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Workload{}, err
	}
	return ofDeployment(deployment), nil
}

func ofDeployment(d *appsv1.Deployment) Workload {
	w := Workload{
		Kind: "Deployment", Name: d.Name, selector: d.Spec.Selector,
		Wanted: replicas(d.Spec.Replicas),
		Ready:  min(d.Status.UpdatedReplicas, d.Status.AvailableReplicas),
	}
	for _, condition := range d.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			w.refused = condition.Message
		}
	}
	w.Done = d.Status.ObservedGeneration >= d.Generation &&
		d.Status.UpdatedReplicas == w.Wanted && d.Status.Replicas == w.Wanted && d.Status.AvailableReplicas == w.Wanted
	return w
}

func ofStatefulSet(s *appsv1.StatefulSet) Workload {
	w := Workload{
		Kind: "StatefulSet", Name: s.Name, selector: s.Spec.Selector,
		Wanted: replicas(s.Spec.Replicas),
		Ready:  min(s.Status.UpdatedReplicas, s.Status.AvailableReplicas),
	}
	w.Done = s.Status.ObservedGeneration >= s.Generation && s.Status.Replicas == w.Wanted && s.Status.AvailableReplicas == w.Wanted &&
		// Pods that are only replaced when somebody deletes them are not waited for.
		(s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType || s.Status.UpdatedReplicas == w.Wanted)
	return w
}

// replicas is 1 where the server would say so.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// troublesOf looks at the pods of a workload, and no further.
func (c *Client) troublesOf(ctx context.Context, namespace string, w Workload) ([]Trouble, error) {
	pods, err := c.Clientset.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(w.selector)})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var troubles []Trouble
	for i := range pods.Items {
		if t, ok := troubleOf(&pods.Items[i]); ok {
			troubles = append(troubles, t)
		}
	}
	switch {
	case w.refused != "":
		troubles = append(troubles, Trouble{Pod: w.Name, Reason: reasonRefused, Message: w.refused})
	case len(pods.Items) == 0 && w.Wanted > 0:
		troubles = append(troubles, Trouble{Pod: w.Name, Reason: reasonNoPods})
	case len(troubles) == 0 && !w.Done:
		troubles = append(troubles, Trouble{Pod: w.Name, Reason: reasonStuck})
	}
	return troubles, nil
}

// explainTrouble adds what only events and logs tell.
func (c *Client) explainTrouble(ctx context.Context, namespace string, t *Trouble) {
	if t.needsEvents() {
		events, err := c.Clientset.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{
			FieldSelector: "type=Warning,involvedObject.name=" + t.Pod,
		})
		if err == nil && len(events.Items) > 0 {
			t.Message = strings.TrimSpace(slices.MaxFunc(events.Items, func(a, b corev1.Event) int {
				return cmp.Compare(eventTime(a), eventTime(b))
			}).Message)
		}
	}
	if t.Container == "" {
		return
	}
	lines := int64(logLines)
	for _, previous := range []bool{t.ended, false} {
		log, err := c.Clientset.CoreV1().Pods(namespace).GetLogs(t.Pod, &corev1.PodLogOptions{
			Container: t.Container, TailLines: &lines, Previous: previous,
		}).DoRaw(ctx)
		if text := strings.TrimSpace(string(log)); err == nil && text != "" {
			t.Log = strings.Split(text, "\n")
			return
		}
		if apierrors.IsForbidden(err) {
			return
		}
	}
}

// eventTime is in nanoseconds. Which of an event's times is set depends on who
// wrote it.
func eventTime(e corev1.Event) int64 {
	return max(e.LastTimestamp.UnixNano(), e.EventTime.UnixNano(), e.CreationTimestamp.UnixNano())
}
