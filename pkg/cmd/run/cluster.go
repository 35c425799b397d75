package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/runfile"
)

const (
	// readyTimeout bounds the wait for one app's pod.
	readyTimeout = time.Minute
	// deleteTimeout bounds the end of all of them.
	deleteTimeout = 2 * time.Minute
	// lookInterval is how often it is seen whether pods are still there.
	lookInterval = time.Second
	// configuration is the Configuration that sidecars get where there is one.
	configuration = "appconfig"
)

// clusterApps are the apps of a run file in a cluster.
type clusterApps struct {
	opts    *runOptions
	cluster *kubernetes.Client
	apps    []runfile.App
	// objects are those that were applied.
	objects []*unstructured.Unstructured

	mu sync.Mutex // one line at a time
}

func clusterRun(ctx context.Context, opts *runOptions) (err error) {
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
	c := &clusterApps{opts: opts, cluster: cluster, apps: apps}
	manifests, err := c.manifests(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.delete(context.WithoutCancel(ctx))) }()
	pods, err := c.start(ctx, manifests)
	if err == nil {
		opts.status.Success("You're up and running! The apps' output appears here; Ctrl-C ends them.")
		err = c.show(ctx, pods)
	}
	if ctx.Err() != nil {
		return nil // somebody has asked for the end
	}
	return err
}

// manifests writes what every app is in the cluster, before any is started.
func (c *clusterApps) manifests(ctx context.Context) ([][]*unstructured.Unstructured, error) {
	there, err := c.cluster.Resources(ctx, kubernetes.Configurations, runfile.Namespace)
	if err != nil {
		return nil, err
	}
	config := ""
	if slices.ContainsFunc(there, func(r kubernetes.Resource) bool { return r.Name == configuration }) {
		config = configuration
	}
	var all [][]*unstructured.Unstructured
	for i, app := range c.apps {
		objects, err := app.WriteManifests(config)
		if err != nil {
			return nil, fmt.Errorf("run file %s: apps[%d].%w", c.opts.runFile, i, err)
		}
		all = append(all, objects)
	}
	return all, nil
}

// start applies what was written, and waits until every app has a pod that is
// ready.
func (c *clusterApps) start(ctx context.Context, manifests [][]*unstructured.Unstructured) ([]kubernetes.App, error) {
	var pods []kubernetes.App
	for i, app := range c.apps {
		c.objects = append(c.objects, manifests[i]...) // also what is applied half-way
		if err := c.cluster.Apply(ctx, manifests[i]); err != nil {
			return nil, fmt.Errorf("start the app %s: %w", app.ID, err)
		}
		pod, err := c.await(ctx, app)
		if err != nil {
			return nil, fmt.Errorf("start the app %s: %w", app.ID, err)
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

func (c *clusterApps) await(ctx context.Context, app runfile.App) (kubernetes.App, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := c.cluster.WaitReady(ctx, runfile.Namespace, "app="+app.ID, kubernetes.Watcher{
		Begin: func(w kubernetes.Workload) func(error) { return c.opts.status.Spin("Starting " + w.Name) },
		Note:  func(t kubernetes.Trouble) { c.opts.status.Warning("%s", t) },
	})
	if err != nil {
		return kubernetes.App{}, err
	}
	pod, err := c.cluster.FindApp(ctx, runfile.Namespace, app.ID, "")
	if err != nil {
		return pod, fmt.Errorf("%w; is the control plane there? \"dapr status -k\" tells", err)
	}
	return pod, nil
}

// show prints what the apps print, until the context ends or no pod is left.
func (c *clusterApps) show(ctx context.Context, pods []kubernetes.App) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	for _, pod := range pods {
		group.Go(func() error { return c.follow(ctx, pod) })
	}
	group.Go(func() error {
		defer stop()
		return c.untilGone(ctx)
	})
	return group.Wait()
}

// follow prints a log line by line. That it ends is no error: the pod may be
// replaced by another.
func (c *clusterApps) follow(ctx context.Context, pod kubernetes.App) error {
	out, in := io.Pipe()
	var group errgroup.Group
	group.Go(func() error {
		err := c.cluster.Logs(ctx, pod, pod.ID, in, kubernetes.LogOptions{Follow: true, Tail: -1})
		return errors.Join(err, in.Close())
	})
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			c.mu.Lock()
			fmt.Fprintf(c.opts.streams.Out, "== APP - %s == %s", pod.ID, line)
			c.mu.Unlock()
		}
		if err != nil { // the pipe's end
			return group.Wait()
		}
	}
}

func (c *clusterApps) untilGone(ctx context.Context) error {
	for {
		there, err := c.cluster.Apps(ctx, runfile.Namespace)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end that is waited for
		}
		if err != nil {
			return err
		}
		ours := slices.ContainsFunc(there, func(pod kubernetes.App) bool {
			return slices.ContainsFunc(c.apps, func(app runfile.App) bool { return app.ID == pod.ID })
		})
		if !ours {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookInterval):
		}
	}
}

func (c *clusterApps) delete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	done := c.opts.status.Spin("Ending the apps")
	_, err := c.cluster.Delete(ctx, c.objects)
	done(err)
	if err != nil {
		return fmt.Errorf("%w; \"dapr stop -k -f %s\" tries again", err, c.opts.runFile)
	}
	return nil
}
