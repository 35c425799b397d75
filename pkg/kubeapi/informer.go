package kubeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// object is what an informer can hold.
type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// Informer keeps the objects of a namespace in memory, without the history of
// their fields, and tells of their changes; shrink makes each smaller first. At
// the interval resync it tells of each anew, changed or not. What cannot be
// watched is logged and tried again.
func Informer[T any, P object[T]](o Objects[T], namespace string, resync time.Duration, log *slog.Logger, shrink func(P)) cache.SharedIndexInformer {
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return o.List(ctx, namespace, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch = true
			text, err := o.with(namespace, options).Stream(ctx)
			if err != nil {
				return nil, err
			}
			events := &decoder[T, P]{text, json.NewDecoder(text)}
			return watch.NewStreamWatcher(events, apierrors.NewClientErrorReporter(http.StatusInternalServerError, http.MethodGet, "ClientWatchDecoding")), nil
		},
	}, P(new(T)), resync, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	// Neither fails before the start.
	_ = informer.SetTransform(func(v any) (any, error) {
		if p, ok := v.(P); ok {
			p.SetManagedFields(nil)
			shrink(p)
		}
		return v, nil
	})
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		switch {
		case errors.Is(err, io.EOF), apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			// A watch ends now and then, and starts anew.
		default:
			log.Warn(o.plural+" cannot be watched; trying on", "error", err)
		}
	})
	return informer
}

// decoder reads the events of a watch.
type decoder[T any, P object[T]] struct {
	io.Closer
	json *json.Decoder
}

// Decode implements watch.Decoder.
func (d *decoder[T, P]) Decode() (watch.EventType, runtime.Object, error) {
	var event struct {
		Type   watch.EventType `json:"type"`
		Object json.RawMessage `json:"object"`
	}
	if err := d.json.Decode(&event); err != nil {
		return "", nil, err
	}
	var o runtime.Object = P(new(T))
	if event.Type == watch.Error {
		o = &metav1.Status{}
	}
	if err := json.Unmarshal(event.Object, o); err != nil {
		return "", nil, fmt.Errorf("read what has changed: %w", err)
	}
	return event.Type, o, nil
}

// Close implements watch.Decoder.
func (d *decoder[T, P]) Close() { _ = d.Closer.Close() }
