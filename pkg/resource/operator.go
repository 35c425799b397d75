package resource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Operator is the control plane's operator as the source of a sidecar's
// resources. The operator knows the caller by its certificate and sends what is
// in its namespace and scope.
type Operator struct {
	Client operatorv1.OperatorClient
	// Namespace is the sidecar's.
	Namespace string
	// Configuration is the name of the sidecar's Configuration; empty for none.
	Configuration string
	Filter        Filter
}

// Load reads everything anew. It returns what it could read beside the mistakes;
// the Configuration is nil when it has one.
func (o Operator) Load(ctx context.Context) (*Configuration, []Resource, error) {
	config, configErr := o.configuration(ctx)
	errs := []error{configErr}
	var all []Resource
	add := func(kind string, documents [][]byte, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("list resources of kind %s at the operator: %w", kind, err))
			return
		}
		for _, data := range documents {
			loaded, err := Parse("operator", data)
			errs = append(errs, err)
			for _, r := range loaded {
				if o.Filter.accepts(r.Head()) {
					all = append(all, r)
				}
			}
		}
	}
	components, err := o.Client.ListComponents(ctx, &operatorv1.ListComponentsRequest{Namespace: o.Namespace})
	add(KindComponent, components.GetComponents(), err)
	endpoints, err := o.Client.ListHTTPEndpoints(ctx, &operatorv1.ListHTTPEndpointsRequest{Namespace: o.Namespace})
	add(KindHTTPEndpoint, endpoints.GetHttpEndpoints(), err)
	return config, all, errors.Join(errs...)
}

func (o Operator) configuration(ctx context.Context) (*Configuration, error) {
	if o.Configuration == "" {
		return NewConfiguration(), nil
	}
	res, err := o.Client.GetConfiguration(ctx, &operatorv1.GetConfigurationRequest{Name: o.Configuration, Namespace: o.Namespace})
	if err != nil {
		return nil, fmt.Errorf("read Configuration %s at the operator: %w", o.Configuration, err)
	}
	if len(res.GetConfiguration()) == 0 {
		return nil, fmt.Errorf("there is no Configuration %q in namespace %q: create it, or take the annotation dapr.io/config off the pod", o.Configuration, o.Namespace)
	}
	return ParseConfiguration("operator", res.GetConfiguration())
}

// reconnect is the pause before a broken stream of updates is opened again.
const reconnect = time.Second

// Watch calls changed, maybe too often, when Load could return something else.
// It returns when the context ends. A stream that has begun, for the first time
// or again, counts as a change: something may have happened before.
func (o Operator) Watch(ctx context.Context, changed func()) error {
	var streams sync.WaitGroup
	streams.Go(func() {
		follow(ctx, changed, func() (grpc.ServerStreamingClient[operatorv1.ConfigurationUpdateEvent], error) {
			return o.Client.ConfigurationUpdate(ctx, &operatorv1.ConfigurationUpdateRequest{Namespace: o.Namespace})
		})
	})
	streams.Go(func() {
		follow(ctx, changed, func() (grpc.ServerStreamingClient[operatorv1.HTTPEndpointUpdateEvent], error) {
			return o.Client.HTTPEndpointUpdate(ctx, &operatorv1.HTTPEndpointUpdateRequest{Namespace: o.Namespace})
		})
	})
	streams.Go(func() {
		follow(ctx, changed, func() (grpc.ServerStreamingClient[operatorv1.ComponentUpdateEvent], error) {
			return o.Client.ComponentUpdate(ctx, &operatorv1.ComponentUpdateRequest{Namespace: o.Namespace})
		})
	})
	<-ctx.Done()
	streams.Wait()
	return nil
}

// follow keeps one stream open.
func follow[E any](ctx context.Context, changed func(), open func() (grpc.ServerStreamingClient[E], error)) {
	for {
		stream, err := open()
		if err == nil {
			// The operator sends headers when it misses no change any more; an older one,
			// with the first change. There are none when it refuses.
			if headers, _ := stream.Header(); headers != nil {
				changed()
			}
		}
		for err == nil {
			if _, err = stream.Recv(); err == nil {
				changed()
			}
		}
		if status.Code(err) == codes.Unimplemented {
			return // an older operator does not tell of this kind
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(reconnect/2 + rand.N(reconnect)): // not all sidecars at once
		}
	}
}
