package operator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"
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

type event struct {
	object *unstructured.Unstructured
	typ    operatorv1.ResourceEventType
}

func newResources(c *cluster, log *slog.Logger) *resources {
	r := &resources{
		c: c, log: log, informers: make(map[string]cache.SharedIndexInformer), followers: make(map[string]map[*follower]struct{}),
	}
	for plural, version := range versions {
		informer := c.informers.ForResource(gvr(plural, version)).Informer()
		// Neither fails before the informer is started.
		_ = informer.SetTransform(dropManagedFields)
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
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

// run reads everything once and keeps it up to date until the context ends; it
// returns after the first reading.
func (r *resources) run(ctx context.Context) error {
	r.c.informers.Start(ctx.Done())
	for plural, informer := range r.informers {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) && ctx.Err() == nil {
			return fmt.Errorf("%w: %s", errSyncing, plural)
		}
	}
	return nil
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
func (r *resources) tell(plural string, before, after any) {
	old, _ := before.(*unstructured.Unstructured)
	now, _ := after.(*unstructured.Unstructured)
	if old != nil && now != nil && sameContent(old, now) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range r.followers[plural] {
		saw, sees := old != nil && f.who.sees(old), now != nil && f.who.sees(now)
		var e event
		switch {
		case saw && sees:
			e = event{now, operatorv1.ResourceEventType_UPDATED}
		case sees:
			e = event{now, operatorv1.ResourceEventType_CREATED}
		case saw:
			e = event{old, operatorv1.ResourceEventType_DELETED}
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
// not be sent.
func (r *resources) follow(ctx context.Context, plural string, who caller, send func([]byte, operatorv1.ResourceEventType) error) error {
	f := &follower{who: who, events: make(chan event, 64), lost: make(chan struct{})}
	r.mu.Lock()
	r.followers[plural][f] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.followers[plural], f)
		r.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.lost:
			return errTooSlow
		case e := <-f.events:
			data, err := r.encode(ctx, plural, e.object)
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
	secret, err := in.r.c.core.Secrets(in.o.GetNamespace()).Get(in.ctx, name, metav1.GetOptions{})
	if err != nil {
		in.r.log.Warn(fmt.Sprintf("%s %s/%s names a secret that cannot be read", in.o.GetKind(), in.o.GetNamespace(), in.o.GetName()), "secret", name, "error", err)
	} else {
		data = secret.Data
	}
	in.read[name] = data
	return data
}
