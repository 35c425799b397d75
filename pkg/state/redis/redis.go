// Package redis is the Redis state store. It reads, lists and queries through
// the component library's driver and writes by one script of its own, because
// the library's writes leave a transaction half done when one of its etags does
// not match, let first-write replace a value, keep an old time to live on a new
// value, and report a server that is down as an etag that does not match.
//
// What is stored is the library's form: a hash with the fields data and version,
// or a JSON document. Both can work on the same keys.
package redis

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"

	library "github.com/dapr/components-contrib/common/component/redis"
	"github.com/dapr/components-contrib/contenttype"
	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/state"
	driver "github.com/dapr/components-contrib/state/redis"
	"github.com/dapr/components-contrib/state/utils"
	"github.com/dapr/kit/logger"
)

//go:embed write.lua
var writeScript string

// Store is a Redis state store.
type Store struct {
	*driver.StateStore // reads

	log      logger.Logger
	writer   library.RedisClient // the library keeps its own client to itself
	settings *library.Settings
	hasJSON  bool // the server has the JSON type
	replicas int
}

// New returns a store that is not connected yet.
func New(log logger.Logger) state.Store {
	return &Store{StateStore: driver.NewRedisStateStore(log).(*driver.StateStore), log: log}
}

// Init connects to the server. Close the store also when it fails.
func (s *Store) Init(ctx context.Context, md state.Metadata) (err error) {
	properties := maps.Clone(md.Properties) // the library's parser adds to them
	if err := reach(ctx, properties); err != nil {
		return err
	}
	s.writer, s.settings, err = library.ParseClientFromProperties(properties, metadata.StateStoreType, ctx, &s.log)
	if err != nil {
		return err
	}
	if err = s.StateStore.Init(ctx, md); err != nil {
		return err
	}
	s.hasJSON = library.ClientHasJSONSupport(s.writer)
	info, err := s.writer.DoRead(ctx, "INFO", "replication")
	if err != nil {
		return fmt.Errorf("redis: read the number of replicas: %w", err)
	}
	s.replicas = connectedReplicas(fmt.Sprint(info))
	return nil
}

// reach fails at once, and with the reason, when nobody listens: the library
// tries again until the context ends and then tells no more than that it ended.
func reach(ctx context.Context, properties map[string]string) error {
	var settings library.Settings
	if settings.Decode(properties) != nil || settings.Host == "" {
		return nil // the library's parser will say what is wrong
	}
	var errs []error
	for host := range strings.SplitSeq(settings.Host, ",") {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
		if err == nil {
			return conn.Close()
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("redis: %w", errors.Join(errs...))
}

// Close ends the connections.
func (s *Store) Close() error {
	if s.writer == nil {
		return nil
	}
	return errors.Join(s.writer.Close(), s.StateStore.Close())
}

// Set writes one value.
func (s *Store) Set(ctx context.Context, r *state.SetRequest) error {
	w, err := s.set(r, false)
	if err != nil {
		return err
	}
	if err := s.write(ctx, w); err != nil {
		return err
	}
	if r.Options.Consistency == state.Strong && s.replicas > 0 {
		const milliseconds = 1000
		if err := s.writer.DoWrite(ctx, "WAIT", s.replicas, milliseconds); err != nil {
			return fmt.Errorf("redis: wait for %d replicas: %w", s.replicas, err)
		}
	}
	return nil
}

// Delete removes one value.
func (s *Store) Delete(ctx context.Context, r *state.DeleteRequest) error {
	w, err := remove(r)
	if err != nil {
		return err
	}
	return s.write(ctx, w)
}

// BulkSet writes values, each on its own.
func (s *Store) BulkSet(ctx context.Context, r []state.SetRequest, o state.BulkStoreOpts) error {
	return state.DoBulkSetDelete(ctx, r, s.Set, o)
}

// BulkDelete removes values, each on its own.
func (s *Store) BulkDelete(ctx context.Context, r []state.DeleteRequest, o state.BulkStoreOpts) error {
	return state.DoBulkSetDelete(ctx, r, s.Delete, o)
}

// Multi does all operations or none. In a cluster, where the keys of a script
// must live on one node, it is the library's: there a mismatched etag does not
// undo the operations beside it.
func (s *Store) Multi(ctx context.Context, r *state.TransactionalStateRequest) error {
	if s.settings.RedisType == library.ClusterType {
		return s.StateStore.Multi(ctx, r)
	}
	writes := make([]write, len(r.Operations))
	for i, o := range r.Operations {
		var err error
		switch o := o.(type) {
		case state.SetRequest:
			writes[i], err = s.set(&o, isJSON(r.Metadata))
		case state.DeleteRequest:
			writes[i], err = remove(&o)
		default:
			err = fmt.Errorf("redis: unsupported operation %s", o.Operation())
		}
		if err != nil {
			return err
		}
	}
	return s.write(ctx, writes...)
}

// write is one operation of the script; write.lua explains the fields.
type write struct {
	what, key, etag string
	value           []byte
	ttl             int // seconds
}

// absent is the etag of a key that must not exist.
const absent = "-"

func (s *Store) set(r *state.SetRequest, asJSON bool) (write, error) {
	w := write{what: "set", key: r.Key}
	var err error
	if w.etag, err = version(r.ETag); err != nil {
		return w, err
	}
	if w.etag == "" && r.Options.Concurrency == state.FirstWrite {
		w.etag = absent
	}
	ttl, err := utils.ParseTTL(r.Metadata)
	if err != nil {
		return w, err
	}
	if ttl == nil {
		ttl = s.settings.TTLInSeconds
	}
	if ttl != nil {
		w.ttl = *ttl
	}
	if s.hasJSON && (asJSON || isJSON(r.Metadata)) {
		w.what = "setjson"
		w.value, err = json.Marshal(struct {
			Data any `json:"data"`
		}{r.Value})
		return w, err
	}
	switch v := r.Value.(type) {
	case []byte:
		w.value = v
	case json.RawMessage:
		w.value = v
	default:
		w.value, err = json.Marshal(v)
	}
	return w, err
}

func remove(r *state.DeleteRequest) (write, error) {
	etag, err := version(r.ETag)
	return write{what: "delete", key: r.Key, etag: etag}, err
}

// version checks that an app's etag can be one of ours, which count writes.
func version(etag *string) (string, error) {
	if etag == nil || *etag == "" {
		return "", nil
	}
	if _, err := strconv.ParseUint(*etag, 10, 64); err != nil {
		return "", state.NewETagError(state.ETagInvalid, err)
	}
	return *etag, nil
}

func isJSON(metadata map[string]string) bool {
	return metadata["contentType"] == contenttype.JSONContentType
}

func (s *Store) write(ctx context.Context, writes ...write) error {
	keys := make([]string, len(writes))
	args := make([]any, 0, 4*len(writes))
	for i, w := range writes {
		keys[i] = w.key
		args = append(args, w.what, w.etag, w.value, w.ttl)
	}
	failed, err, _ := s.writer.EvalInt(ctx, writeScript, keys, args...)
	switch {
	case err != nil:
		return fmt.Errorf("redis: write: %w", err)
	case failed == nil || *failed == 0:
		return nil
	}
	w := writes[*failed-1]
	if w.etag == absent {
		return state.NewETagError(state.ETagMismatch, fmt.Errorf("key %s has a value already", w.key))
	}
	return state.NewETagError(state.ETagMismatch, fmt.Errorf("key %s is not at version %s", w.key, w.etag))
}

// connectedReplicas reads the server's INFO replication.
func connectedReplicas(info string) int {
	for line := range strings.Lines(info) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "connected_slaves:"); ok {
			replicas, _ := strconv.Atoi(n) // 0 when it is no number
			return replicas
		}
	}
	return 0
}
