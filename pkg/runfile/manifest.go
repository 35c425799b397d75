package runfile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/hyperdapr/dapr/pkg/atomicfile"
)

// Namespace is where the apps of a run file are in Kubernetes.
const Namespace = "default"

// servicePort is where a service makes the app reachable.
const servicePort = 80

// Manifests are the files below the app's folder that say what of it runs in
// Kubernetes: its Deployment, and its Service. They need not be there.
func (a App) Manifests() []string {
	folder := filepath.Join(a.Dir, ".dapr", "deploy")
	return []string{filepath.Join(folder, "deployment.yaml"), filepath.Join(folder, "service.yaml")}
}

// WriteManifests writes the files that Manifests names, and returns what is in
// them. configuration names the sidecar's Configuration; it may be empty.
func (a App) WriteManifests(configuration string) ([]*unstructured.Unstructured, error) {
	if a.Image == "" {
		return nil, errors.New("containerImage: it is missing; write the image that the app is in")
	}
	objects := []*unstructured.Unstructured{a.deployment(configuration)}
	if a.CreateService {
		if a.Port == 0 {
			return nil, errors.New("createService: it needs an appPort, where the app listens")
		}
		objects = append(objects, a.service())
	}
	files := a.Manifests()
	if err := os.MkdirAll(filepath.Dir(files[0]), 0o755); err != nil {
		return nil, err
	}
	for i, file := range files {
		if i >= len(objects) { // one of an earlier run
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		}
		text, err := yaml.Marshal(objects[i].Object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if err := atomicfile.WriteFile(file, text, 0o644); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// deployment is one pod of the app, with a sidecar.
func (a App) deployment(configuration string) *unstructured.Unstructured {
	annotations := map[string]any{"dapr.io/enabled": "true", "dapr.io/app-id": a.ID}
	for name, value := range map[string]string{
		"app-port": number(a.Port), "metrics-port": number(a.MetricsPort),
		"unix-domain-socket-path": a.UnixDomainSocket, "config": configuration,
	} {
		if value != "" {
			annotations["dapr.io/"+name] = value
		}
	}
	container := map[string]any{"name": a.ID, "image": a.Image, "imagePullPolicy": a.PullPolicy}
	if a.Port != 0 {
		container["ports"] = []any{map[string]any{"containerPort": int64(a.Port)}}
	}
	var env []any
	for _, name := range slices.Sorted(maps.Keys(a.Env)) {
		env = append(env, map[string]any{"name": name, "value": a.Env[name]})
	}
	if env != nil {
		container["env"] = env
	}
	return a.object("apps/v1", "Deployment", map[string]any{
		"replicas": int64(1),
		"selector": map[string]any{"matchLabels": a.labels()},
		"template": map[string]any{
			"metadata": map[string]any{"labels": a.labels(), "annotations": annotations},
			"spec":     map[string]any{"containers": []any{container}},
		},
	})
}

func (a App) service() *unstructured.Unstructured {
	return a.object("v1", "Service", map[string]any{
		"type":     "LoadBalancer",
		"selector": a.labels(),
		"ports":    []any{map[string]any{"port": int64(servicePort), "targetPort": int64(a.Port), "protocol": "TCP"}},
	})
}

func (a App) object(apiVersion, kind string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion,
		"kind":       kind,
		"metadata":   map[string]any{"name": a.ID, "namespace": Namespace, "labels": a.labels()},
		"spec":       spec,
	}}
}

func (a App) labels() map[string]any { return map[string]any{"app": a.ID} }

// number is empty for what is not given.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
