package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hyperdapr/dapr/pkg/nearest"
)

// sidecarName is the name of the sidecar's container in every pod.
const sidecarName = "daprd"

// App is one pod of an app with a sidecar.
type App struct {
	Namespace, Pod string
	ID             string
	// Port is empty when the app listens on none.
	Port    string
	Created time.Time
}

// Apps lists the pods that have a sidecar, the last namespace first, as
// programs know this list. The empty namespace means all.
func (c *Client) Apps(ctx context.Context, namespace string) ([]App, error) {
	var pods *corev1.PodList
	err := c.ask(ctx, "list pods", func(ctx context.Context) (err error) {
		pods, err = c.Clientset.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	var apps []App
	for i := range pods.Items {
		if app, ok := appOf(&pods.Items[i]); ok {
			apps = append(apps, app)
		}
	}
	slices.SortFunc(apps, func(a, b App) int {
		return cmp.Or(-cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Pod, b.Pod))
	})
	return apps, nil
}

// appOf reads what the sidecar was started with. A native sidecar is an init
// container.
func appOf(pod *corev1.Pod) (App, bool) {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name != sidecarName {
				continue
			}
			args := slices.Concat(containers[i].Command, containers[i].Args)
			return App{
				Namespace: pod.Namespace, Pod: pod.Name, Created: pod.CreationTimestamp.Time,
				ID: argument(args, "--app-id"), Port: argument(args, "--app-port"),
			}, true
		}
	}
	return App{}, false
}

// argument returns the value of a flag, "" when it is not given.
func argument(args []string, flag string) string {
	for i, arg := range args {
		if arg == flag && i+1 < len(args) {
			return args[i+1]
		}
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			return value
		}
	}
	return ""
}

// FindApp returns the pod of an app: the one with the given name, or else the
// first. Its error names the apps there are.
func (c *Client) FindApp(ctx context.Context, namespace, id, pod string) (App, error) {
	apps, err := c.Apps(ctx, namespace)
	if err != nil {
		return App{}, err
	}
	var ids, pods []string
	for _, app := range apps {
		if app.ID != id {
			ids = append(ids, app.ID)
			continue
		}
		if pod == "" || app.Pod == pod {
			return app, nil
		}
		pods = append(pods, app.Pod)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	switch near := nearest.Name(id, ids); {
	case len(pods) > 0:
		return App{}, fmt.Errorf("the app %q has no pod %q in the namespace %s; it has %s", id, pod, namespace, strings.Join(pods, ", "))
	case near != "":
		return App{}, fmt.Errorf("no pod in the namespace %s has a sidecar of the app %q; did you mean %q?", namespace, id, near)
	case len(ids) > 0:
		return App{}, fmt.Errorf("no pod in the namespace %s has a sidecar of the app %q; there are %s", namespace, id, strings.Join(ids, ", "))
	default:
		return App{}, fmt.Errorf("no pod in the namespace %s has a sidecar; give another with --namespace, or see \"dapr list -k -A\"", namespace)
	}
}
