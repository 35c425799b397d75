package stop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/runfile"
)

// stopTimeout bounds the stop of one app. Pods have half a minute to end when
// they do not say otherwise.
const stopTimeout = 2 * time.Minute

// checkCluster says what else stops an app in a cluster.
func (opts *stopOptions) checkCluster() error {
	switch {
	case opts.runFile == "" && len(opts.appIDs) > 0:
		return cmdutil.FlagErrorf("in a cluster the apps of a run file are stopped: give it with --run-file; a Deployment of your own is stopped with \"kubectl scale deployment NAME --replicas=0\"")
	case opts.runFile == "":
		return cmdutil.FlagErrorf("which apps? give their run file with --run-file; a Deployment of your own is stopped with \"kubectl scale deployment NAME --replicas=0\"")
	case len(opts.appIDs) > 0:
		return cmdutil.FlagErrorf("--run-file stops all apps of the file: leave out %s", strings.Join(opts.appIDs, ", "))
	}
	return nil
}

func clusterRun(ctx context.Context, opts *stopOptions) error {
	home, _ := opts.env.Home()
	apps, err := runfile.Read(opts.runFile, home, opts.streams.In)
	if err != nil {
		return err
	}
	cluster, err := opts.cluster()
	if err != nil {
		return err
	}
	if _, err := cluster.Reach(ctx); err != nil {
		return err
	}
	for _, app := range apps {
		deleted, err := stopApp(ctx, cluster, app)
		for _, name := range deleted {
			opts.status.Info("%s: deleted the %s", app.ID, name)
		}
		if err != nil {
			opts.status.Failure("failed to stop app id %s: %v", app.ID, err)
			continue
		}
		if len(deleted) == 0 {
			opts.status.Info("%s: nothing of it was left in %s", app.ID, cluster)
		}
		opts.status.Success("app stopped successfully: %s", app.ID)
	}
	return nil
}

// stopApp deletes what the app's manifests name, and returns the names.
func stopApp(ctx context.Context, cluster *kubernetes.Client, app runfile.App) ([]string, error) {
	objects, err := readManifests(app.Manifests())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return cluster.Delete(ctx, objects)
}

// readManifests reads all files before anything is deleted. An app needs no
// service, but without any file nobody knows what to delete.
func readManifests(files []string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	found := false
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = true
		objects, err := kubernetes.DecodeObjects(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for i, o := range objects {
			if o.GetAPIVersion() == "" || o.GetKind() == "" || o.GetName() == "" {
				return nil, fmt.Errorf("%s, document %d: it needs apiVersion, kind and metadata.name", file, i+1)
			}
			if o.GetNamespace() == "" {
				o.SetNamespace(runfile.Namespace)
			}
		}
		all = append(all, objects...)
	}
	if !found {
		return nil, fmt.Errorf("there is neither %s", strings.Join(files, " nor "))
	}
	return all, nil
}
