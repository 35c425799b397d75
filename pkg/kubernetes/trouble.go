package kubernetes

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// logLines is how much of a container's log an error shows.
const logLines = 10

// Reasons beside those that the kubelet gives.
const (
	reasonRefused       = "PodsRefused"
	reasonNoPods        = "NoPods"
	reasonStuck         = "Stuck"
	reasonUnschedulable = "Unschedulable"
	reasonCrashed       = "Crashed"
	reasonStarting      = "ContainerCreating"
	reasonNotReady      = "NotReady"
	reasonFailed        = "Failed"
	reasonTerminating   = "Terminating"
)

// Trouble is why a pod is not ready.
type Trouble struct {
	// Pod is its name, or the workload's that gets no pods.
	Pod string
	// Container is the one that is not ready, when it can have a log.
	Container string
	// Image is that of the container.
	Image string
	// Reason is one word, as Kubernetes writes it.
	Reason string
	// Message is what the cluster says; it may be empty.
	Message string
	// Log is the end of the container's log.
	Log []string

	exitCode, restarts int32
	// ended tells that the container ran and is over, so that the log of its
	// last run says more than that of the one that just began.
	ended bool
}

// String is the trouble in one line, without the log.
func (t Trouble) String() string { return t.who() + t.what() }

// who begins the sentence that what ends.
func (t Trouble) who() string {
	switch t.Reason {
	case reasonRefused, reasonNoPods, reasonStuck:
		return t.Pod + ": "
	}
	return "pod " + t.Pod + ": "
}

func (t Trouble) what() string {
	switch t.Reason {
	case reasonRefused:
		return "the cluster refuses its pods" + colon(t.Message)
	case reasonNoPods:
		return "it has no pods yet" + colon(t.Message)
	case reasonStuck:
		return "its pods are ready, but not of the newest kind" + colon(t.Message)
	case reasonUnschedulable:
		return "no node takes it" + colon(t.Message)
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable":
		return fmt.Sprintf("the image %s cannot be pulled%s", t.Image, colon(t.Message))
	case "InvalidImageName":
		return fmt.Sprintf("%q is no image's name", t.Image)
	case "ErrImageNeverPull":
		return fmt.Sprintf("the image %s is not on the node, and must not be pulled", t.Image)
	case reasonCrashed:
		return fmt.Sprintf("it ended with exit code %d%s", t.exitCode, again(t.restarts))
	case "OOMKilled":
		return "it ran out of memory: raise its memory limit"
	case reasonNotReady:
		return "it runs but does not say that it is ready" + colon(t.Message)
	case reasonStarting:
		return "it is being started" + colon(t.Message)
	case reasonTerminating:
		return "it is of the older kind and has not ended yet"
	default:
		return t.Reason + colon(t.Message)
	}
}

func again(restarts int32) string {
	switch restarts {
	case 0:
		return ""
	case 1:
		return ", also when it was started again"
	default:
		return fmt.Sprintf(", also when it was started again %d times", restarts)
	}
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// passing tells of what is no trouble unless it lasts.
func (t Trouble) passing() bool {
	switch t.Reason {
	case reasonStarting, reasonNotReady, reasonNoPods, reasonStuck, reasonTerminating, "PodInitializing":
		return true
	}
	return false
}

// needsEvents tells that the pod itself does not say what is wrong.
func (t Trouble) needsEvents() bool {
	switch t.Reason {
	case reasonStarting, reasonNotReady, reasonNoPods, reasonStuck:
		return true
	case "ImagePullBackOff":
		// "Back-off pulling image" says nothing; the failed attempt's event does.
		return t.Message == "" || strings.HasPrefix(t.Message, "Back-off")
	}
	return false
}

// troubleOf tells why a pod is not ready, from its status alone.
func troubleOf(pod *corev1.Pod) (Trouble, bool) {
	t := Trouble{Pod: pod.Name}
	if pod.DeletionTimestamp != nil {
		t.Reason = reasonTerminating
		return t, true
	}
	for _, condition := range pod.Status.Conditions {
		switch {
		case condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue:
			return t, false
		case condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse:
			t.Reason, t.Message = reasonUnschedulable, condition.Message
			return t, true
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		t.Reason, t.Message = cmp.Or(pod.Status.Reason, reasonFailed), pod.Status.Message
		return t, true
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			if t, ok := ofContainer(pod.Name, &statuses[i]); ok {
				return t, true
			}
		}
	}
	t.Reason = reasonStarting
	return t, true
}

// ofContainer tells why a container is not ready. An init container that is
// done is.
func ofContainer(pod string, s *corev1.ContainerStatus) (Trouble, bool) {
	t := Trouble{Pod: pod, Image: s.Image, restarts: s.RestartCount}
	last := s.LastTerminationState.Terminated
	switch {
	case s.Ready, s.State.Terminated != nil && s.State.Terminated.ExitCode == 0:
		return t, false
	case s.State.Terminated != nil:
		return t.crashed(s.Name, s.State.Terminated, false), true
	case last != nil && (s.State.Waiting == nil || s.State.Waiting.Reason == "CrashLoopBackOff"):
		return t.crashed(s.Name, last, true), true
	case s.State.Waiting != nil:
		t.Reason, t.Message = cmp.Or(s.State.Waiting.Reason, reasonStarting), s.State.Waiting.Message
		return t, true
	default:
		t.Container, t.Reason = s.Name, reasonNotReady
		return t, true
	}
}

func (t Trouble) crashed(container string, end *corev1.ContainerStateTerminated, again bool) Trouble {
	t.Container, t.Reason, t.ended = container, reasonCrashed, again
	t.exitCode = end.ExitCode
	if text := strings.TrimSpace(end.Message); text != "" {
		t.Log = strings.Split(text, "\n")
	}
	if end.Reason == "OOMKilled" {
		t.Reason = end.Reason
	}
	return t
}
