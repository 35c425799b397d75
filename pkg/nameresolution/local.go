package nameresolution

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	contrib "github.com/dapr/components-contrib/nameresolution"
	"golang.org/x/sync/singleflight"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// folderProperty names the registry's folder among the properties.
const folderProperty = "folder"

const (
	// fresh is how long an answer is good. It is short, because it costs little:
	// an app that was scaled out gets its share of calls within that time.
	fresh = time.Second
	// patience is how long an app that starts at the same time as its caller may
	// take to appear.
	patience = time.Second
	poll     = 20 * time.Millisecond
)

// defaultNamespace is the namespace of apps that were not given one.
const defaultNamespace = "default"

var errNotFound = errors.New("no app with this id runs on this machine")

// NewLocal returns the resolver that finds sidecars in the registry of this
// machine (see package instances). Several instances of an app take turns.
func NewLocal(*slog.Logger) Resolver { return &local{clock: time.Now} }

type local struct {
	folder string
	clock  func() time.Time

	known   sync.Map // of key to *answer
	lookups singleflight.Group
}

type key struct{ namespace, appID string }

// answer is the sidecars of one app.
type answer struct {
	addresses []string
	until     time.Time
	turn      atomic.Uint32
}

func (a *answer) next() string {
	if len(a.addresses) == 1 {
		return a.addresses[0]
	}
	return a.addresses[int(a.turn.Add(1))%len(a.addresses)]
}

// Init takes the registry's folder from the Configuration or, mostly, from the
// sidecar.
func (r *local) Init(_ context.Context, md contrib.Metadata) error {
	r.folder = md.Properties[folderProperty]
	if c, ok := md.Configuration.(map[string]any); ok && c[folderProperty] != nil {
		folder, ok := c[folderProperty].(string)
		if !ok {
			return fmt.Errorf("configuration %s is %T: it is the path of a folder", folderProperty, c[folderProperty])
		}
		r.folder = folder
	}
	if r.folder == "" {
		return fmt.Errorf("configuration %s is missing: give the folder of the sidecars' registry, such as ~/.dapr/run", folderProperty)
	}
	return nil
}

// ResolveID returns the address of a sidecar of the app. An app that is not
// there yet may appear within a second.
func (r *local) ResolveID(ctx context.Context, req contrib.ResolveRequest) (string, error) {
	k := key{req.Namespace, req.ID}
	if v, ok := r.known.Load(k); ok {
		if a := v.(*answer); r.clock().Before(a.until) {
			return a.next(), nil
		}
	}
	// Callers that ask at the same time share one search, which goes on when one
	// of them leaves.
	found := r.lookups.DoChan(k.namespace+"/"+k.appID, func() (any, error) { return r.search(k) })
	select {
	case res := <-found:
		if res.Err != nil {
			return "", res.Err
		}
		return res.Val.(*answer).next(), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (r *local) search(k key) (*answer, error) {
	deadline := time.Now().Add(patience)
	for {
		addresses, err := r.find(k)
		if err != nil {
			return nil, err
		}
		if len(addresses) > 0 {
			a := &answer{addresses: addresses, until: r.clock().Add(fresh)}
			r.known.Store(k, a)
			return a, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("couldn't find service: %s: %w: start it with `dapr run --app-id %s`", k.appID, errNotFound, k.appID)
		}
		time.Sleep(poll)
	}
}

func (r *local) find(k key) ([]string, error) {
	namespaces := []string{k.namespace}
	switch k.namespace {
	case "":
		namespaces = append(namespaces, defaultNamespace)
	case defaultNamespace:
		namespaces = append(namespaces, "")
	}
	var addresses []string
	for _, ns := range namespaces {
		found, err := instances.Find(r.folder, ns, k.appID)
		if err != nil {
			return nil, err
		}
		for _, i := range found {
			if i.Address != "" {
				addresses = append(addresses, i.Address)
			}
		}
	}
	return addresses, nil
}

// Invalidate implements Invalidator.
func (r *local) Invalidate(appID, namespace string) { r.known.Delete(key{namespace, appID}) }

// Close implements io.Closer.
func (r *local) Close() error { return nil }
