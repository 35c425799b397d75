package operator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	"github.com/hyperdapr/dapr/pkg/kubeapi"
)

// The kinds that sidecars ask for, by the plural name.
const (
	components     = "components"
	configurations = "configurations"
	endpoints      = "httpendpoints"
	mcpServers     = "mcpservers"
	resiliencies   = "resiliencies"
	subscriptions  = "subscriptions"
	accessPolicies = "workflowaccesspolicies"
)

// versions are those that sidecars read.
var versions = map[string]string{
	components: "v1alpha1", configurations: "v1alpha1", endpoints: "v1alpha1", mcpServers: "v1alpha1",
	resiliencies: "v1alpha1", subscriptions: "v2alpha1", accessPolicies: "v1alpha1",
}

// builtinStore is the secret store whose secrets the operator puts into the
// resources itself.
const builtinStore = "kubernetes"

const (
	// backlog is how many changes a sidecar may be behind. There are seven streams
	// a sidecar, so that each must be small.
	backlog = 32
	// encodeTimeout bounds the reading of a changed resource's secrets.
	encodeTimeout = 10 * time.Second
)

// resources are the cluster's resources of the group dapr.io, kept up to date.
type resources struct {
	c         *cluster
	log       *slog.Logger
	informers map[string]cache.SharedIndexInformer

	mu        sync.Mutex
	followers map[string]map[*follower]struct{} // by kind
}

// follower is told of changes of one kind.
type follower struct {
	who    caller
	events chan event
	lost   chan struct{} // closed when it did not keep up
}

// caller is whom resources are for.
type caller struct{ namespace, appID string }

// sees tells whether a resource is in the caller's namespace and scope.
func (w caller) sees(o *unstructured.Unstructured) bool {
	if o.GetNamespace() != w.namespace {
		return false
	}
	scopes, _, _ := unstructured.NestedStringSlice(o.Object, "scopes")
	return len(scopes) == 0 || slices.Contains(scopes, w.appID)
}

// event is a change as one follower sees it.
type event struct {
	*document
	typ operatorv1.ResourceEventType
}

// document is a resource that many sidecars are told of: it is encoded, and its
// secrets are read, once.
type document struct {
	object *unstructured.Unstructured
	encode func() ([]byte, error)
}

func newResources(c *cluster, log *slog.Logger) *resources {
	r := &resources{
		c: c, log: log, informers: make(map[string]cache.SharedIndexInformer), followers: make(map[string]map[*follower]struct{}),
	}
	for plural := range versions {
		informer := kubeapi.Informer(c.resources(plural), c.namespace, 0, log, func(*unstructured.Unstructured) {})
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{ // fails only after the end
			AddFunc: func(o any, initial bool) {
				if !initial {
					r.tell(plural, nil, o)
				}
			},
			UpdateFunc: func(old, o any) { r.tell(plural, old, o) },
			DeleteFunc: func(o any) {
				if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
					o = gone.Obj
				}
				r.tell(plural, o, nil)
			},
		})
		r.informers[plural] = informer
		r.followers[plural] = make(map[*follower]struct{})
	}
	return r
}

// run keeps everything up to date until the context ends. It says what has not
// been read yet, last nothing.
func (r *resources) run(ctx context.Context, missing func(string)) error {
	var g errgroup.Group
	for _, informer := range r.informers {
		g.Go(func() error {
			informer.RunWithContext(ctx)
			return nil
		})
	}
	for _, plural := range slices.Sorted(maps.Keys(r.informers)) {
		missing(plural + " are not read yet")
		cache.WaitForCacheSync(ctx.Done(), r.informers[plural].HasSynced)
	}
	if ctx.Err() == nil {
		missing("")
	}
	return g.Wait()
}

// list returns what the caller sees of one kind, as JSON.
func (r *resources) list(ctx context.Context, plural string, who caller) ([][]byte, error) {
	items, err := r.informers[plural].GetIndexer().ByIndex(cache.NamespaceIndex, who.namespace)
	if err != nil {
		return nil, err
	}
	var documents [][]byte
	for _, item := range items {
		object, ok := item.(*unstructured.Unstructured)
		if !ok || !who.sees(object) {
			continue
		}
		data, err := r.encode(ctx, plural, object)
		if err != nil {
			return nil, err
		}
		documents = append(documents, data)
	}
	return documents, nil
}

// get returns one resource, or nothing.
func (r *resources) get(ctx context.Context, plural, namespace, name string) ([]byte, error) {
	item, exists, err := r.informers[plural].GetIndexer().GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return nil, err
	}
	return r.encode(ctx, plural, item.(*unstructured.Unstructured))
}

// tell passes a change on to those who see the resource. To one whom a change of
// scopes took it from, it is gone.
func (r *resources) tell(plural string, was, is any) {
	old, _ := was.(*unstructured.Unstructured)
	now, _ := is.(*unstructured.Unstructured)
	if old != nil && now != nil && sameContent(old, now) {
		return
	}
	at := func(o *unstructured.Unstructured) *document {
		return &document{o, sync.OnceValues(func() ([]byte, error) {
			ctx, cancel := context.WithTimeout(context.Background(), encodeTimeout)
			defer cancel()
			return r.encode(ctx, plural, o)
		})}
	}
	before, after := at(old), at(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range r.followers[plural] {
		saw, sees := old != nil && f.who.sees(old), now != nil && f.who.sees(now)
		var e event
		switch {
		case saw && sees:
			e = event{after, operatorv1.ResourceEventType_UPDATED}
		case sees:
			e = event{after, operatorv1.ResourceEventType_CREATED}
		case saw:
			e = event{before, operatorv1.ResourceEventType_DELETED}
		default:
			continue
		}
		select {
		case f.events <- e:
		default: // it lists everything again when its stream ends
			delete(r.followers[plural], f)
			close(f.lost)
		}
	}
}

// sameContent tells whether two versions differ only in what no sidecar reads.
func sameContent(a, b *unstructured.Unstructured) bool {
	for _, field := range []string{"spec", "auth", "scopes"} {
		if !reflect.DeepEqual(a.Object[field], b.Object[field]) {
			return false
		}
	}
	return true
}

var errTooSlow = errors.New("the sidecar did not keep up with the changes: it has to read everything anew")

// follow sends the changes of one kind until the context ends or a change could
// not be sent. It calls begun when every change from then on will be sent.
func (r *resources) follow(ctx context.Context, plural string, who caller, begun func() error, send func([]byte, operatorv1.ResourceEventType) error) error {
	f := &follower{who: who, events: make(chan event, backlog), lost: make(chan struct{})}
	r.mu.Lock()
	r.followers[plural][f] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.followers[plural], f)
		r.mu.Unlock()
	}()
	if err := begun(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.lost:
			return errTooSlow
		case e := <-f.events:
			data, err := e.encode()
			if err != nil {
				return err
			}
			if err := send(data, e.typ); err != nil {
				return err
			}
		}
	}
}

// encode is the resource as JSON, with the secrets of the store kubernetes in
// place of the references to them.
func (r *resources) encode(ctx context.Context, plural string, o *unstructured.Unstructured) ([]byte, error) {
	switch plural {
	case components, endpoints:
		o = o.DeepCopy()
		store, _, _ := unstructured.NestedString(o.Object, "auth", "secretStore")
		if store == "" || store == builtinStore {
			in := inliner{ctx: ctx, r: r, o: o, read: make(map[string]map[string][]byte)}
			in.walk(o.Object["spec"])
		}
	}
	return json.Marshal(o)
}

// inliner puts secrets where references to them stand.
type inliner struct {
	ctx  context.Context //nolint:containedctx // it lives for one call
	r    *resources
	o    *unstructured.Unstructured
	read map[string]map[string][]byte
}

// walk finds references anywhere below v. One that cannot be followed stays: the
// sidecar then asks for the secret itself, and its error names what is missing.
func (in *inliner) walk(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			in.walk(item)
		}
	case map[string]any:
		ref, ok := v["secretKeyRef"].(map[string]any)
		if !ok {
			for _, item := range v {
				in.walk(item)
			}
			return
		}
		name, _ := ref["name"].(string)
		key, _ := ref["key"].(string)
		if key == "" {
			key = name
		}
		if value, found := in.secret(name)[key]; found && v["value"] == nil {
			v["value"] = base64.StdEncoding.EncodeToString(value)
		}
	}
}

func (in *inliner) secret(name string) map[string][]byte {
	if data, known := in.read[name]; known {
		return data
	}
	var data map[string][]byte
	secret, err := in.r.c.secrets.Get(in.ctx, in.o.GetNamespace(), name)
	if err != nil {
		in.r.log.Warn(fmt.Sprintf("%s %s/%s names a secret that cannot be read", in.o.GetKind(), in.o.GetNamespace(), in.o.GetName()), "secret", name, "error", err)
	} else {
		data = secret.Data
	}
	in.read[name] = data
	return data
}
