package state

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"

	"github.com/hyperdapr/dapr/pkg/httpapi"
)

// Routes are the block's HTTP operations. Those without a store in the path are
// of the protocol's first version and use the default store.
func (b *Block) Routes() []httpapi.Route {
	get, del := []string{http.MethodGet}, []string{http.MethodDelete}
	write := []string{http.MethodPost, http.MethodPut}
	route := func(methods []string, path, name string, h httpapi.HandlerFunc) httpapi.Route {
		return httpapi.Route{Methods: methods, Path: path, Group: "state", Version: "v1", Name: name, Handler: h}
	}
	query := route(write, "/v1.0-alpha1/state/{store}/query", "QueryState", b.query)
	query.Version = "v1alpha1"
	return []httpapi.Route{
		route(get, "/v1.0/state/{store}/{key}", "GetState", named(b.get)),
		route(write, "/v1.0/state/{store}", "SaveState", named(b.save)),
		route(del, "/v1.0/state/{store}/{key}", "DeleteState", named(b.delete)),
		route(write, "/v1.0/state/{store}/bulk", "GetBulkState", b.bulkGet),
		route(write, "/v1.0/state/{store}/transaction", "ExecuteStateTransaction", b.transact),
		query,

		route(get, "/v1.0/state/{key}", "GetState", b.byDefault(b.get)),
		route(write, "/v1.0/state", "SaveState", b.byDefault(b.save)),
		route(del, "/v1.0/state/{key}", "DeleteState", b.byDefault(b.delete)),
	}
}

// storeHandler handles a call on the named store.
type storeHandler func(w http.ResponseWriter, r *http.Request, store string) error

// named takes the store from the path.
func named(h storeHandler) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		return h(w, r, httpapi.Param(r, "store"))
	}
}

// byDefault takes the default store.
func (b *Block) byDefault(h storeHandler) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		store, err := b.defaultName()
		if err != nil {
			return err
		}
		return h(w, r, store)
	}
}

func (b *Block) get(w http.ResponseWriter, r *http.Request, store string) error {
	item, err := b.Get(r.Context(), store, GetRequest{
		Key:         httpapi.Param(r, "key"),
		Consistency: httpapi.Query(r, "consistency"),
		Metadata:    httpapi.Metadata(r),
	})
	if err != nil {
		return err
	}
	header := w.Header()
	for k, v := range item.Metadata {
		header.Set("metadata."+k, v)
	}
	if item.ETag != "" {
		header.Set("Etag", item.ETag)
	}
	if len(item.Data) == 0 {
		return httpapi.Empty(w)
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(item.Data)))
	_, _ = w.Write(item.Data) // the client is gone: nobody is left to tell
	return nil
}

// saveBody is the wire form of a SaveRequest.
type saveBody struct {
	Key         string            `json:"key"`
	Value       json.RawMessage   `json:"value"`
	ETag        string            `json:"etag"`
	Metadata    map[string]string `json:"metadata"`
	ContentType string            `json:"contentType"`
	Options     struct {
		Concurrency string `json:"concurrency"`
		Consistency string `json:"consistency"`
	} `json:"options"`
}

// request decodes the body. The query's metadata wins over the body's.
func (s *saveBody) request(query map[string]string) SaveRequest {
	value := s.Value
	if value == nil {
		value = json.RawMessage("null")
	}
	return SaveRequest{
		Key:         s.Key,
		Value:       value,
		JSON:        true,
		ContentType: s.ContentType,
		Condition: Condition{
			ETag:        s.ETag,
			Concurrency: s.Options.Concurrency,
			Consistency: s.Options.Consistency,
			Metadata:    merge(s.Metadata, query),
		},
	}
}

func (b *Block) save(w http.ResponseWriter, r *http.Request, store string) error {
	var body []saveBody
	if err := httpapi.DecodeJSON(r, &body); err != nil {
		return err
	}
	query := httpapi.Metadata(r)
	requests := make([]SaveRequest, len(body))
	for i := range body {
		requests[i] = body[i].request(query)
	}
	if err := b.Save(r.Context(), store, requests); err != nil {
		return err
	}
	return httpapi.Empty(w)
}

func (b *Block) delete(w http.ResponseWriter, r *http.Request, store string) error {
	err := b.Delete(r.Context(), store, DeleteRequest{
		Key: httpapi.Param(r, "key"),
		Condition: Condition{
			ETag:        r.Header.Get("If-Match"),
			Concurrency: httpapi.Query(r, "concurrency"),
			Consistency: httpapi.Query(r, "consistency"),
			Metadata:    httpapi.Metadata(r),
		},
	})
	if err != nil {
		return err
	}
	return httpapi.Empty(w)
}

// itemBody is the wire form of an Item.
type itemBody struct {
	Key      string            `json:"key"`
	Data     json.RawMessage   `json:"data,omitempty"`
	ETag     string            `json:"etag,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func itemBodies(items []Item) ([]itemBody, error) {
	bodies := make([]itemBody, len(items))
	for i, item := range items {
		bodies[i] = itemBody{Key: item.Key, Data: item.Data, ETag: item.ETag, Metadata: item.Metadata, Error: item.Err}
		if len(item.Data) == 0 || json.Valid(item.Data) {
			continue
		}
		// Bytes that were saved through gRPC: JSON carries them as base64.
		quoted, err := json.Marshal(item.Data)
		if err != nil {
			return nil, err
		}
		bodies[i].Data = quoted
	}
	return bodies, nil
}

func (b *Block) bulkGet(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Keys        []string          `json:"keys"`
		Parallelism int               `json:"parallelism"`
		Metadata    map[string]string `json:"metadata"`
	}
	if err := httpapi.DecodeJSON(r, &body); err != nil {
		return err
	}
	metadata := merge(body.Metadata, httpapi.Metadata(r))
	items, err := b.BulkGet(r.Context(), httpapi.Param(r, "store"), body.Keys, body.Parallelism, metadata)
	if err != nil {
		return err
	}
	bodies, err := itemBodies(items)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, bodies)
}

func (b *Block) transact(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Operations []struct {
			Operation string   `json:"operation"`
			Request   saveBody `json:"request"`
		} `json:"operations"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := httpapi.DecodeJSON(r, &body); err != nil {
		return err
	}
	query := httpapi.Metadata(r)
	operations := make([]Operation, len(body.Operations))
	for i := range body.Operations {
		o := &body.Operations[i]
		operations[i] = Operation{Type: o.Operation, SaveRequest: o.Request.request(query)}
	}
	if err := b.Transact(r.Context(), httpapi.Param(r, "store"), operations, body.Metadata); err != nil {
		return err
	}
	return httpapi.Empty(w)
}

func (b *Block) query(w http.ResponseWriter, r *http.Request) error {
	query, err := httpapi.ReadBody(r)
	if err != nil {
		return err
	}
	answer, err := b.Query(r.Context(), httpapi.Param(r, "store"), query, httpapi.Metadata(r))
	if err != nil {
		return err
	}
	if len(answer.Items) == 0 {
		return httpapi.Empty(w)
	}
	results, err := itemBodies(answer.Items)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, struct {
		Results  []itemBody        `json:"results"`
		Token    string            `json:"token,omitempty"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}{results, answer.Token, answer.Metadata})
}

// merge adds over to base, in place where there is a base.
func merge(base, over map[string]string) map[string]string {
	switch {
	case len(over) == 0:
		return base
	case base == nil:
		return maps.Clone(over) // it can be shared by several requests
	}
	maps.Copy(base, over)
	return base
}
