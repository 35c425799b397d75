package resource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
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
// It returns when the context ends. A stream that breaks is opened again, and
// counts as a change: something may have happened in between.
func (o Operator) Watch(ctx context.Context, changed func()) error {
	follow := func(open func() (receive func() error, err error)) {
		for {
			receive, err := open()
			for err == nil {
				if err = receive(); err == nil {
					changed()
				}
			}
			if status.Code(err) == codes.Unimplemented {
				return // an older operator does not tell of this kind
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(reconnect):
				changed()
			}
		}
	}
	var streams sync.WaitGroup
	streams.Go(func() {
		follow(func() (func() error, error) {
			stream, err := o.Client.ConfigurationUpdate(ctx, &operatorv1.ConfigurationUpdateRequest{Namespace: o.Namespace})
			return func() error { _, err := stream.Recv(); return err }, err
		})
	})
	streams.Go(func() {
		follow(func() (func() error, error) {
			stream, err := o.Client.HTTPEndpointUpdate(ctx, &operatorv1.HTTPEndpointUpdateRequest{Namespace: o.Namespace})
			return func() error { _, err := stream.Recv(); return err }, err
		})
	})
	streams.Go(func() {
		follow(func() (func() error, error) {
			stream, err := o.Client.ComponentUpdate(ctx, &operatorv1.ComponentUpdateRequest{Namespace: o.Namespace})
			return func() error { _, err := stream.Recv(); return err }, err
		})
	})
	<-ctx.Done()
	streams.Wait()
	return nil
}
