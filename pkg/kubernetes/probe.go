package kubernetes

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hyperdapr/dapr/pkg/inject"
)

// probeApp is the id of an app that is never made.
const probeApp = "doctor-probe"

// Injection is what becomes of a pod that asks for a sidecar.
type Injection struct {
	// Injected tells whether it gets one.
	Injected bool
	// Stranger tells that the injector answered, and gives none to pods that this
	// user makes.
	Stranger bool
	// Image is the sidecar's.
	Image string
}

// TryInjection asks the cluster what it would make of a pod that asks for a
// sidecar, and makes none. The error is the cluster's: it refuses the pod, or the
// injector has to answer and does not.
func (c *Client) TryInjection(ctx context.Context, namespace string) (Injection, error) {
	no, yes := false, true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: probeApp + "-", Namespace: namespace,
			Annotations: map[string]string{inject.Prefix + "enabled": "true", inject.Prefix + "app-id": probeApp},
		},
		// As the strictest of namespaces wants it.
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{Name: "app", Image: "example.invalid/app:1", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
		},
	}
	var made *corev1.Pod
	var i Injection
	ctx = WithWarnings(ctx, func(text string) { i.Stranger = i.Stranger || strings.Contains(text, inject.NoSidecar) })
	err := c.ask(ctx, "try what becomes of a pod that asks for a sidecar", func(ctx context.Context) (err error) {
		made, err = c.Clientset.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
	if err != nil {
		return Injection{}, err
	}
	for _, containers := range [][]corev1.Container{made.Spec.InitContainers, made.Spec.Containers} {
		for _, container := range containers {
			if container.Name == sidecarName {
				i.Injected, i.Image = true, container.Image
			}
		}
	}
	return i, nil
}
