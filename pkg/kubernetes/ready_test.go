package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

const theNamespace = "dapr-system"

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: theNamespace, Labels: map[string]string{"app": name}}
}

func deployment(name string, wanted, ready int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: named(name),
		Spec:       appsv1.DeploymentSpec{Replicas: &wanted, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}},
		Status:     appsv1.DeploymentStatus{Replicas: wanted, UpdatedReplicas: wanted, AvailableReplicas: ready},
	}
}

func podOf(app string, status corev1.PodStatus) *corev1.Pod {
	meta := named(app + "-1")
	meta.Labels = map[string]string{"app": app}
	return &corev1.Pod{ObjectMeta: meta, Status: status}
}

func container(state corev1.ContainerState) corev1.PodStatus {
	return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", Image: "example.com/dapr:1", State: state}}}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func crashed(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}
}

func TestWorkloadsThatAreDone(t *testing.T) {
	done := deployment("a", 2, 2)
	old := deployment("a", 2, 2)
	old.Generation, old.Status.ObservedGeneration = 2, 1
	surplus := deployment("a", 2, 2)
	surplus.Status.Replicas = 3
	three := int32(3)
	set := func(updated, available int32, strategy appsv1.StatefulSetUpdateStrategyType) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{
			ObjectMeta: named("s"),
			Spec:       appsv1.StatefulSetSpec{Replicas: &three, UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: strategy}},
			Status:     appsv1.StatefulSetStatus{Replicas: 3, UpdatedReplicas: updated, AvailableReplicas: available},
		}
	}
	for name, tt := range map[string]struct {
		w    Workload
		want bool
	}{
		"all ready":                        {ofDeployment(done), true},
		"one is not":                       {ofDeployment(deployment("a", 2, 1)), false},
		"not seen by its controller":       {ofDeployment(old), false},
		"an old pod is left":               {ofDeployment(surplus), false},
		"none wanted":                      {ofDeployment(deployment("a", 0, 0)), true},
		"a set":                            {ofStatefulSet(set(3, 3, "")), true},
		"a set with an old pod":            {ofStatefulSet(set(2, 3, "")), false},
		"a set whose old pods may stay":    {ofStatefulSet(set(1, 3, appsv1.OnDeleteStatefulSetStrategyType)), true},
		"a set with a pod that is not yet": {ofStatefulSet(set(3, 2, "")), false},
	} {
		require.Equal(t, tt.want, tt.w.Done, name)
	}
	require.Equal(t, int32(1), replicas(nil))
}

func TestWaitReady(t *testing.T) {
	set := fake.NewClientset(deployment("b", 1, 1), deployment("a", 1, 0), podOf("a", container(waiting("ErrImagePull", "not found"))))
	var looks atomic.Int32
	set.PrependReactor("get", "deployments", func(action k8stesting.Action) (bool, runtime.Object, error) {
		name := action.(k8stesting.GetAction).GetName()
		if name == "a" && looks.Add(1) > 2 {
			return true, deployment("a", 1, 1), nil
		}
		return false, nil, nil
	})
	var told []string
	err := (&Client{Clientset: set}).WaitReady(t.Context(), theNamespace, "", Watcher{
		Begin: func(w Workload) func(error) {
			told = append(told, w.String())
			return func(err error) { told = append(told, fmt.Sprint(w.Name, " ", err)) }
		},
		Note: func(t Trouble) { told = append(told, t.String()) },
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		"a (0 of 1 ready)", "pod a-1: the image example.com/dapr:1 cannot be pulled: not found", "a <nil>", "b (1 of 1 ready)", "b <nil>",
	}, told, "a trouble is told once")
}

func TestWaitReadyInVain(t *testing.T) {
	refused := deployment("refused", 1, 0)
	refused.Status.Conditions = []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "x" is forbidden: violates PodSecurity`,
	}}
	pull := "failed to resolve reference"
	stuck := deployment("stuck", 1, 1)
	stuck.Generation = stuck.Status.ObservedGeneration + 1
	ready := corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	set := fake.NewClientset(
		deployment("crash", 1, 0), podOf("crash", container(crashed(3, "Error", ""))),
		deployment("pull", 1, 0), podOf("pull", container(waiting("ImagePullBackOff", "Back-off pulling image"))),
		deployment("slow", 1, 0), podOf("slow", container(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})),
		deployment("fine", 1, 1), refused, deployment("empty", 1, 0), stuck, podOf("stuck", ready),
		event("pull-1", "older", 2), event("pull-1", pull, 1), event("slow-1", "Readiness probe failed: HTTP probe failed with statuscode: 500", 1),
	)
	set.PrependReactor("list", "events", onlyAbout)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := (&Client{Clientset: set}).WaitReady(ctx, theNamespace, "", Watcher{})
	var notReady *NotReadyError
	require.ErrorAs(t, err, &notReady)
	require.Len(t, notReady.Workloads, 6)
	require.EqualError(t, err, `not ready in time: crash (0 of 1 ready), empty (0 of 1 ready), pull (0 of 1 ready), refused (0 of 1 ready), slow (0 of 1 ready), stuck (1 of 1 ready)
  pod crash-1: it ended with exit code 3
    | fake logs
  empty: it has no pods yet
  pod pull-1: the image example.com/dapr:1 cannot be pulled: failed to resolve reference
  refused: the cluster refuses its pods: pods "x" is forbidden: violates PodSecurity
  pod slow-1: it runs but does not say that it is ready: Readiness probe failed: HTTP probe failed with statuscode: 500
    | fake logs
  stuck: its pods are ready, but not of the newest kind`)
}

func TestAWaitThatIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := (&Client{Clientset: fake.NewClientset(deployment("a", 1, 0))}).WaitReady(ctx, theNamespace, "", Watcher{})
	require.ErrorIs(t, err, context.Canceled)
}

func event(pod, message string, minutesAgo int) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprint(pod, minutesAgo), Namespace: theNamespace},
		InvolvedObject: corev1.ObjectReference{Name: pod},
		Type:           corev1.EventTypeWarning,
		Message:        message,
		LastTimestamp:  metav1.NewTime(time.Now().Add(-time.Duration(minutesAgo) * time.Minute)),
	}
}

// onlyAbout does what the fake does not: it heeds the field selector.
func onlyAbout(action k8stesting.Action) (bool, runtime.Object, error) {
	selector := action.(k8stesting.ListAction).GetListRestrictions().Fields
	name, ok := selector.RequiresExactMatch("involvedObject.name")
	if !ok {
		return true, nil, errors.New("events of everything")
	}
	list := &corev1.EventList{}
	switch name {
	case "pull-1":
		list.Items = []corev1.Event{*event(name, "older", 2), *event(name, "failed to resolve reference", 1)}
	case "slow-1":
		list.Items = []corev1.Event{*event(name, "Readiness probe failed: HTTP probe failed with statuscode: 500", 1)}
	}
	return true, list, nil
}

func TestTroubles(t *testing.T) {
	again := container(waiting("CrashLoopBackOff", "back-off 10s restarting"))
	again.ContainerStatuses[0].RestartCount = 4
	again.ContainerStatuses[0].LastTerminationState = crashed(2, "Error", "flag --x is unknown\n")
	memory := container(waiting("CrashLoopBackOff", ""))
	memory.ContainerStatuses[0].LastTerminationState = crashed(137, "OOMKilled", "")
	initFails := container(waiting("PodInitializing", ""))
	initFails.InitContainerStatuses = []corev1.ContainerStatus{
		{Name: "done", State: crashed(0, "Completed", "")}, {Name: "second", State: crashed(1, "Error", "")},
	}
	ready := corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	unschedulable := corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available: 1 Insufficient cpu.",
	}}}
	ended := podOf("a", ready)
	ended.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	for name, tt := range map[string]struct {
		pod     *corev1.Pod
		want    string
		log     []string
		passing bool
	}{
		"ready":           {pod: podOf("a", ready)},
		"on its way out":  {pod: ended, want: "pod a-1: it is of the older kind and has not ended yet", passing: true},
		"no node":         {pod: podOf("a", unschedulable), want: "pod a-1: no node takes it: 0/1 nodes are available: 1 Insufficient cpu."},
		"evicted":         {pod: podOf("a", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "disk"}), want: "pod a-1: Evicted: disk"},
		"new":             {pod: podOf("a", corev1.PodStatus{}), want: "pod a-1: it is being started", passing: true},
		"being made":      {pod: podOf("a", container(waiting("ContainerCreating", ""))), want: "pod a-1: it is being started", passing: true},
		"a wrong image":   {pod: podOf("a", container(waiting("InvalidImageName", ""))), want: `pod a-1: "example.com/dapr:1" is no image's name`},
		"no such image":   {pod: podOf("a", container(waiting("ErrImageNeverPull", ""))), want: "pod a-1: the image example.com/dapr:1 is not on the node, and must not be pulled"},
		"a lost secret":   {pod: podOf("a", container(waiting("CreateContainerConfigError", `secret "x" not found`))), want: `pod a-1: CreateContainerConfigError: secret "x" not found`},
		"crashing":        {pod: podOf("a", again), want: "pod a-1: it ended with exit code 2, also when it was started again 4 times", log: []string{"flag --x is unknown"}},
		"out of memory":   {pod: podOf("a", memory), want: "pod a-1: it ran out of memory: raise its memory limit"},
		"an init program": {pod: podOf("a", initFails), want: "pod a-1: it ended with exit code 1"},
		"not ready":       {pod: podOf("a", container(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})), want: "pod a-1: it runs but does not say that it is ready", passing: true},
	} {
		t.Run(name, func(t *testing.T) {
			trouble, found := troubleOf(tt.pod)
			require.Equal(t, tt.want != "", found)
			if !found {
				return
			}
			require.Equal(t, tt.want, trouble.String())
			require.Equal(t, tt.log, trouble.Log)
			require.Equal(t, tt.passing, trouble.passing())
		})
	}
}

func TestTheSameIsSaidOnce(t *testing.T) {
	pull := func(pod string) Trouble {
		return Trouble{Pod: pod, Image: "i", Reason: "ErrImagePull", Message: "a long message"}
	}
	err := &NotReadyError{Troubles: []Trouble{pull("a"), pull("b")}}
	require.EqualError(t, err, "not ready in time: \n  pod a: the image i cannot be pulled: a long message\n  pod b: the same")
}
