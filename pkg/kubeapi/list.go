package kubeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// List is a page of objects.
type List[T any] struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []T
}

// DeepCopyObject implements runtime.Object for informers, which hold items and
// never copy lists: the items are shared.
func (l *List[T]) DeepCopyObject() runtime.Object {
	c := *l
	return &c
}

// List reads the objects of a namespace, or a page of them as the options say.
// A large list is never in memory as the text it comes as.
func (o Objects[T]) List(ctx context.Context, namespace string, options metav1.ListOptions) (*List[T], error) {
	text, err := o.with(namespace, options).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	l := &List[T]{}
	if err := l.decode(json.NewDecoder(text)); err != nil {
		return nil, fmt.Errorf("read the list of %s: %w", o.plural, err)
	}
	return l, nil
}

// with is a request for many objects.
func (o Objects[T]) with(namespace string, options metav1.ListOptions) *rest.Request {
	if o.selector != "" {
		options.LabelSelector = o.selector
	}
	return o.to(o.client.rest.Get(), namespace, "").SpecificallyVersionedParams(&options, metav1.ParameterCodec, schema.GroupVersion{Version: "v1"})
}

var errNoList = errors.New("the answer is not a list")

// decode reads one item after the other.
func (l *List[T]) decode(d *json.Decoder) error {
	if err := delim(d, '{'); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		switch key {
		case "items":
			err = l.decodeItems(d)
		case "metadata":
			err = d.Decode(&l.ListMeta)
		default:
			err = d.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	return delim(d, '}')
}

func (l *List[T]) decodeItems(d *json.Decoder) error {
	token, err := d.Token()
	switch {
	case err != nil:
		return err
	case token == nil: // some servers write null for none
		return nil
	case token != json.Delim('['):
		return errNoList
	}
	for d.More() {
		var item T
		if err := d.Decode(&item); err != nil {
			return err
		}
		l.Items = append(l.Items, item)
	}
	return delim(d, ']')
}

func delim(d *json.Decoder, want rune) error {
	token, err := d.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err == nil && token != json.Delim(want) {
		err = errNoList
	}
	return err
}
