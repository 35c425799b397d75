package kubernetes

import (
	"context"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
)

// LogOptions say which part of a log is wanted.
type LogOptions struct {
	// Follow goes on until the container or the context ends.
	Follow bool
	// Tail is how many of the last lines to begin with; all when it is negative.
	Tail int
}

// SidecarLogs copies the log of the app's sidecar.
func (c *Client) SidecarLogs(ctx context.Context, app App, out io.Writer, o LogOptions) error {
	return c.Logs(ctx, app, sidecarName, out, o)
}

// Logs copies the log of a container of the app's pod.
func (c *Client) Logs(ctx context.Context, app App, container string, out io.Writer, o LogOptions) error {
	options := &corev1.PodLogOptions{Container: container, Follow: o.Follow}
	if o.Tail >= 0 {
		tail := int64(o.Tail)
		options.TailLines = &tail
	}
	stream, err := c.Clientset.CoreV1().Pods(app.Namespace).GetLogs(app.Pod, options).Stream(ctx)
	if err != nil {
		return fmt.Errorf("read the log of the pod %s: %w", app.Pod, err)
	}
	defer stream.Close()
	if _, err := io.Copy(out, stream); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read the log of the pod %s: %w", app.Pod, err)
	}
	return nil
}
