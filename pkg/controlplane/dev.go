package controlplane

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// devObjects are the resources to try things out with.
func devObjects() ([]*unstructured.Unstructured, error) {
	objects, err := kubernetes.ReadObjects(embed.Dev())
	if err != nil {
		return nil, fmt.Errorf("resources to try things out with: %w", err)
	}
	return objects, nil
}

// addDev creates them where they are not there. Others install a Redis and a
// trace store here, out of images that the cluster would have to download.
func (c *ControlPlane) addDev(ctx context.Context, report Reporter) error {
	objects, err := devObjects()
	if err != nil {
		return err
	}
	done := report.Spin("Creating resources to try things out with")
	created, err := c.Cluster.CreateMissing(ctx, objects)
	done(err)
	if err != nil {
		return err
	}
	if len(created) > 0 {
		report.Info("Created in the namespace default: %s", strings.Join(created, ", "))
	}
	report.Info("No Redis and no Zipkin is installed: nothing is downloaded. State is in the memory of each sidecar: it is not shared, and ends with the pod")
	return nil
}
