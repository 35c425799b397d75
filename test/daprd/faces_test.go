package daprd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // the details' types
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
)

// A face is one of the two APIs of a sidecar, in terms that both share. Its
// errors are *refusal.
type face interface {
	name() string
	get(store, key, consistency string) (item, error)
	save(store string, writes ...write) error
	delete(store string, w write) error
	bulk(store string, keys ...string) ([]item, error)
	transact(store string, steps ...step) error
	query(store, query string) error
	secret(store, key string) (map[string]string, error)
	secrets(store string) (map[string]map[string]string, error)
	metadata() (*runtimev1.GetMetadataResponse, error)
	setMetadata(key, value string) error
	invoke(app string, c invocation) (reply, error)
	shutdown() error
}

// refusal is an error as a face tells it.
type refusal struct {
	status  int        // of HTTP
	errCode string     // of HTTP; empty for an answer that is plain text
	code    codes.Code // of gRPC
	message string
	details []any
}

func (r *refusal) Error() string {
	return fmt.Sprintf("HTTP %d %s, gRPC %s: %s %v", r.status, r.errCode, r.code, r.message, r.details)
}

// item is a value that was read.
type item struct {
	key, value string
	etag       bool // it has one
	tag        string
	ttl        bool // it expires
	err        string
}

// write is a save, or a delete without a value.
type write struct {
	key, value, etag         string
	concurrency, consistency string
	metadata                 map[string]string
}

// step is one operation of a transaction.
type step struct {
	operation string
	write
}

// invocation is a call of an app.
type invocation struct {
	verb, method, query, body, contentType string
	header                                 map[string]string
}

// reply is an app's answer.
type reply struct {
	body, contentType string
	header            map[string]string // those that begin with x-
}

type httpFace struct {
	s     *sidecar
	token string
}

func (httpFace) name() string { return "http" }

func (f httpFace) call(method, path, body string, headers ...string) (answer, error) {
	if f.token != "" {
		headers = append(headers, "dapr-api-token: "+f.token)
	}
	a, err := f.s.try(method, path, body, headers...)
	if err != nil {
		return a, err
	}
	if a.status < 300 {
		return a, nil
	}
	r := &refusal{status: a.status, message: strings.TrimSpace(a.body)}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		var body struct {
			ErrorCode string `json:"errorCode"`
			Message   string `json:"message"`
			Details   []any  `json:"details"`
		}
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			return a, err
		}
		r.errCode, r.message, r.details = body.ErrorCode, body.Message, body.Details
	}
	return a, r
}

func (f httpFace) get(store, key, consistency string) (item, error) {
	path := statePath(store, key)
	if consistency != "" {
		path += "?consistency=" + consistency
	}
	a, err := f.call(http.MethodGet, path, "")
	if err != nil {
		return item{}, err
	}
	i := item{key: key, value: a.body, tag: a.header.Get("ETag"), etag: a.header.Get("ETag") != ""}
	i.ttl = a.header.Get("metadata.ttlExpireTime") != ""
	return i, nil
}

func statePath(store, key string) string {
	return "/v1.0/state/" + url.PathEscape(store) + "/" + url.QueryEscape(key)
}

func (w write) json() map[string]any {
	m := map[string]any{"key": w.key}
	if w.value != "" {
		m["value"] = json.RawMessage(w.value)
	}
	if w.etag != "" {
		m["etag"] = w.etag
	}
	if w.metadata != nil {
		m["metadata"] = w.metadata
	}
	options := map[string]string{}
	if w.concurrency != "" {
		options["concurrency"] = w.concurrency
	}
	if w.consistency != "" {
		options["consistency"] = w.consistency
	}
	m["options"] = options
	return m
}

func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func (f httpFace) save(store string, writes ...write) error {
	body := []any{}
	for _, w := range writes {
		body = append(body, w.json())
	}
	_, err := f.call(http.MethodPost, "/v1.0/state/"+store, marshal(body))
	return err
}

func (f httpFace) delete(store string, w write) error {
	q := url.Values{}
	for name, value := range map[string]string{"concurrency": w.concurrency, "consistency": w.consistency} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var headers []string
	if w.etag != "" {
		headers = append(headers, "If-Match: "+w.etag)
	}
	_, err := f.call(http.MethodDelete, statePath(store, w.key)+"?"+q.Encode(), "", headers...)
	return err
}

func (f httpFace) bulk(store string, keys ...string) ([]item, error) {
	a, err := f.call(http.MethodPost, "/v1.0/state/"+store+"/bulk", marshal(map[string]any{"keys": keys}))
	if err != nil {
		return nil, err
	}
	var body []struct {
		Key, ETag, Error string
		Data             json.RawMessage
		Metadata         map[string]string
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		return nil, err
	}
	items := []item{}
	for _, b := range body {
		items = append(items, item{key: b.Key, value: string(b.Data), etag: b.ETag != "", ttl: b.Metadata["ttlExpireTime"] != "", err: b.Error})
	}
	return items, nil
}

func (f httpFace) transact(store string, steps ...step) error {
	operations := []any{}
	for _, s := range steps {
		operations = append(operations, map[string]any{"operation": s.operation, "request": s.json()})
	}
	_, err := f.call(http.MethodPost, "/v1.0/state/"+store+"/transaction", marshal(map[string]any{"operations": operations}))
	return err
}

func (f httpFace) query(store, query string) error {
	_, err := f.call(http.MethodPost, "/v1.0-alpha1/state/"+store+"/query", query)
	return err
}

func (f httpFace) secret(store, key string) (m map[string]string, err error) {
	a, err := f.call(http.MethodGet, "/v1.0/secrets/"+store+"/"+key, "")
	if err != nil {
		return nil, err
	}
	return m, json.Unmarshal([]byte(a.body), &m)
}

func (f httpFace) secrets(store string) (m map[string]map[string]string, err error) {
	a, err := f.call(http.MethodGet, "/v1.0/secrets/"+store+"/bulk", "")
	if err != nil {
		return nil, err
	}
	return m, json.Unmarshal([]byte(a.body), &m)
}

func (f httpFace) metadata() (*runtimev1.GetMetadataResponse, error) {
	a, err := f.call(http.MethodGet, "/v1.0/metadata", "")
	if err != nil {
		return nil, err
	}
	m := new(runtimev1.GetMetadataResponse)
	return m, protojson.Unmarshal([]byte(a.body), m)
}

func (f httpFace) setMetadata(key, value string) error {
	_, err := f.call(http.MethodPut, "/v1.0/metadata/"+key, value)
	return err
}

func (f httpFace) invoke(app string, c invocation) (reply, error) {
	var headers []string
	if c.contentType != "" {
		headers = append(headers, "Content-Type: "+c.contentType)
	}
	for name, value := range c.header {
		headers = append(headers, name+": "+value)
	}
	path := "/v1.0/invoke/" + app + "/method/" + c.method
	if c.query != "" {
		path += "?" + c.query
	}
	a, err := f.call(c.verb, path, c.body, headers...)
	if err != nil {
		return reply{}, err
	}
	r := reply{body: a.body, contentType: a.header.Get("Content-Type"), header: map[string]string{}}
	for name := range a.header {
		if strings.HasPrefix(name, "X-") {
			r.header[name] = a.header.Get(name)
		}
	}
	return r, nil
}

func (f httpFace) shutdown() error {
	_, err := f.call(http.MethodPost, "/v1.0/shutdown", "")
	return err
}

type grpcFace struct {
	s     *sidecar
	token string
}

func (grpcFace) name() string { return "grpc" }

// ctx carries the token and the names and values of a call's header.
func (f grpcFace) ctx(header map[string]string) context.Context {
	md := metadata.New(header)
	if f.token != "" {
		md.Set("dapr-api-token", f.token)
	}
	return metadata.NewOutgoingContext(f.s.t.Context(), md)
}

// refused makes a status a refusal.
func refused(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	r := &refusal{code: s.Code(), message: s.Message()}
	for _, d := range s.Proto().GetDetails() {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(d)
		if err != nil {
			return err
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			return err
		}
		r.details = append(r.details, v)
	}
	return r
}

func (f grpcFace) get(store, key, consistency string) (item, error) {
	res, err := f.s.GetState(f.ctx(nil), &runtimev1.GetStateRequest{
		StoreName: store, Key: key, Consistency: commonv1.StateOptions_StateConsistency(enum(consistency, consistencies)),
	})
	if err != nil {
		return item{}, refused(err)
	}
	return item{
		key: key, value: string(res.GetData()), tag: res.GetEtag(), etag: res.GetEtag() != "", ttl: res.GetMetadata()["ttlExpireTime"] != "",
	}, nil
}

var (
	concurrencies = map[string]int32{"": 0, "first-write": 1, "last-write": 2}
	consistencies = map[string]int32{"": 0, "eventual": 1, "strong": 2}
)

// enum is the number of an option; one that does not exist is a number that
// does not exist either.
func enum(name string, numbers map[string]int32) int32 {
	if n, ok := numbers[name]; ok {
		return n
	}
	return 99
}

func (w write) options() *commonv1.StateOptions {
	return &commonv1.StateOptions{
		Concurrency: commonv1.StateOptions_StateConcurrency(enum(w.concurrency, concurrencies)),
		Consistency: commonv1.StateOptions_StateConsistency(enum(w.consistency, consistencies)),
	}
}

func (w write) item() *commonv1.StateItem {
	i := &commonv1.StateItem{Key: w.key, Value: []byte(w.value), Metadata: w.metadata, Options: w.options()}
	if w.etag != "" {
		i.Etag = &commonv1.Etag{Value: w.etag}
	}
	return i
}

func (f grpcFace) save(store string, writes ...write) error {
	req := &runtimev1.SaveStateRequest{StoreName: store}
	for _, w := range writes {
		req.States = append(req.States, w.item())
	}
	_, err := f.s.SaveState(f.ctx(nil), req)
	return refused(err)
}

func (f grpcFace) delete(store string, w write) error {
	i := w.item()
	_, err := f.s.DeleteState(f.ctx(nil), &runtimev1.DeleteStateRequest{StoreName: store, Key: i.GetKey(), Etag: i.GetEtag(), Options: i.GetOptions()})
	return refused(err)
}

func (f grpcFace) bulk(store string, keys ...string) ([]item, error) {
	res, err := f.s.GetBulkState(f.ctx(nil), &runtimev1.GetBulkStateRequest{StoreName: store, Keys: keys})
	if err != nil {
		return nil, refused(err)
	}
	items := []item{}
	for _, i := range res.GetItems() {
		items = append(items, item{
			key: i.GetKey(), value: string(i.GetData()), etag: i.GetEtag() != "", ttl: i.GetMetadata()["ttlExpireTime"] != "", err: i.GetError(),
		})
	}
	return items, nil
}

func (f grpcFace) transact(store string, steps ...step) error {
	req := &runtimev1.ExecuteStateTransactionRequest{StoreName: store}
	for _, s := range steps {
		req.Operations = append(req.Operations, &runtimev1.TransactionalStateOperation{OperationType: s.operation, Request: s.item()})
	}
	_, err := f.s.ExecuteStateTransaction(f.ctx(nil), req)
	return refused(err)
}

func (f grpcFace) query(store, query string) error {
	_, err := f.s.QueryStateAlpha1(f.ctx(nil), &runtimev1.QueryStateRequest{StoreName: store, Query: query})
	return refused(err)
}

func (f grpcFace) secret(store, key string) (map[string]string, error) {
	res, err := f.s.GetSecret(f.ctx(nil), &runtimev1.GetSecretRequest{StoreName: store, Key: key})
	return res.GetData(), refused(err)
}

func (f grpcFace) secrets(store string) (map[string]map[string]string, error) {
	res, err := f.s.GetBulkSecret(f.ctx(nil), &runtimev1.GetBulkSecretRequest{StoreName: store})
	if err != nil {
		return nil, refused(err)
	}
	m := map[string]map[string]string{}
	for name, s := range res.GetData() {
		m[name] = s.GetSecrets()
	}
	return m, nil
}

func (f grpcFace) metadata() (*runtimev1.GetMetadataResponse, error) {
	res, err := f.s.GetMetadata(f.ctx(nil), &runtimev1.GetMetadataRequest{})
	return res, refused(err)
}

func (f grpcFace) setMetadata(key, value string) error {
	_, err := f.s.SetMetadata(f.ctx(nil), &runtimev1.SetMetadataRequest{Key: key, Value: value})
	return refused(err)
}

func (f grpcFace) invoke(app string, c invocation) (reply, error) {
	var header metadata.MD
	res, err := f.s.InvokeService(f.ctx(c.header), &runtimev1.InvokeServiceRequest{Id: app, Message: &commonv1.InvokeRequest{
		Method: c.method, Data: &anypb.Any{Value: []byte(c.body)}, ContentType: c.contentType,
		HttpExtension: &commonv1.HTTPExtension{
			Verb: commonv1.HTTPExtension_Verb(commonv1.HTTPExtension_Verb_value[c.verb]), Querystring: c.query,
		},
	}}, grpc.Header(&header))
	if err != nil {
		return reply{}, refused(err)
	}
	r := reply{body: string(res.GetData().GetValue()), contentType: res.GetContentType(), header: map[string]string{}}
	for name, values := range header {
		if strings.HasPrefix(name, "x-") {
			r.header[textproto.CanonicalMIMEHeaderKey(name)] = values[0]
		}
	}
	return r, nil
}

func (f grpcFace) shutdown() error {
	_, err := f.s.Shutdown(f.ctx(nil), &runtimev1.ShutdownRequest{})
	return refused(err)
}
