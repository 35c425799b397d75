package state

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	contrib "github.com/dapr/components-contrib/state"
)

// Condition says when a write takes place and how.
type Condition struct {
	// ETag is the version that the stored value must have; "" for any.
	ETag string
	// Concurrency is "", "first-write" or "last-write". With first-write and no
	// ETag, the key must have no value yet; with last-write, ETag is ignored.
	Concurrency string
	// Consistency is "", "eventual" or "strong"; "" leaves it to the store.
	Consistency string
	// Metadata is for the driver, ttlInSeconds among it.
	Metadata map[string]string
}

// SaveRequest sets the value of a key.
type SaveRequest struct {
	Key string
	// Value belongs to the Block from then on.
	Value []byte
	// JSON says that Value is JSON, which the store may keep in a form of its
	// own, so that it can be queried. Any other value comes back byte by byte.
	JSON bool
	// ContentType is for the driver; "" when not known.
	ContentType string
	Condition
}

// DeleteRequest removes the value of a key.
type DeleteRequest struct {
	Key string
	Condition
}

// Operation is one step of a transaction.
type Operation struct {
	// Type is "upsert" or "delete"; a delete ignores what only a save has.
	Type string
	SaveRequest
}

// Save writes values. One fails or takes place independently of the others.
func (b *Block) Save(ctx context.Context, storeName string, requests []SaveRequest) error {
	s, err := b.acquire(storeName)
	if err != nil {
		return err
	}
	defer s.release()

	sets := make([]contrib.SetRequest, len(requests))
	for i := range requests {
		if sets[i], err = s.setRequest(&requests[i]); err != nil {
			return err
		}
	}
	start := time.Now()
	switch len(sets) {
	case 0:
		return nil
	case 1:
		err = s.driver.Set(ctx, &sets[0])
	default:
		err = s.driver.BulkSet(ctx, sets, contrib.BulkStoreOpts{Parallelism: defaultParallelism})
	}
	s.ops.Record(opSet, start, err)
	if err != nil {
		return errSave(s.name, s.explain(ctx, sets, err))
	}
	return nil
}

// Delete removes one key. A key without a value is no error, unless an ETag is
// asked for.
func (b *Block) Delete(ctx context.Context, storeName string, r DeleteRequest) error {
	s, err := b.acquire(storeName)
	if err != nil {
		return err
	}
	defer s.release()

	request, err := s.deleteRequest(r.Key, &r.Condition)
	if err != nil {
		return err
	}
	start := time.Now()
	err = s.driver.Delete(ctx, &request)
	s.ops.Record(opDelete, start, err)
	if err != nil {
		return errDelete(s.name, r.Key, err)
	}
	return nil
}

// DeleteBulk removes keys. One fails or takes place independently of the others.
func (b *Block) DeleteBulk(ctx context.Context, storeName string, requests []DeleteRequest) error {
	s, err := b.acquire(storeName)
	if err != nil {
		return err
	}
	defer s.release()
	if len(requests) == 0 {
		return nil
	}

	deletes := make([]contrib.DeleteRequest, len(requests))
	for i := range requests {
		if deletes[i], err = s.deleteRequest(requests[i].Key, &requests[i].Condition); err != nil {
			return err
		}
	}
	start := time.Now()
	err = s.driver.BulkDelete(ctx, deletes, contrib.BulkStoreOpts{Parallelism: defaultParallelism})
	s.ops.Record(opBulkDelete, start, err)
	if err != nil {
		return errDeleteBulk(s.name, err)
	}
	return nil
}

// Transact does all operations or none, in stores that can.
func (b *Block) Transact(ctx context.Context, storeName string, operations []Operation, metadata map[string]string) error {
	s, err := b.acquire(storeName)
	if err != nil {
		return err
	}
	defer s.release()

	if s.transactional == nil {
		return errNoTransactions(s.name)
	}
	if s.maxOperations > 0 && len(operations) > s.maxOperations {
		return errTooMany(s.name, len(operations), s.maxOperations)
	}
	steps := make([]contrib.TransactionalStateOperation, len(operations))
	for i := range operations {
		o := &operations[i]
		switch contrib.OperationType(o.Type) {
		case contrib.OperationUpsert:
			steps[i], err = s.setRequest(&o.SaveRequest)
		case contrib.OperationDelete:
			steps[i], err = s.deleteRequest(o.Key, &o.Condition)
		default:
			err = errUnknownOperation(o.Type)
		}
		if err != nil {
			return err
		}
	}
	if len(steps) == 0 {
		return nil
	}

	start := time.Now()
	err = s.transactional.Multi(ctx, &contrib.TransactionalStateRequest{Operations: steps, Metadata: metadata})
	s.ops.Record(opTransaction, start, err)
	if err != nil {
		return errTransaction(s.name, err)
	}
	return nil
}

func (s *store) setRequest(r *SaveRequest) (contrib.SetRequest, error) {
	key, err := s.driverKey(r.Key)
	if err != nil {
		return contrib.SetRequest{}, err
	}
	if err := r.check(); err != nil {
		return contrib.SetRequest{}, err
	}
	set := contrib.SetRequest{
		Key:      key,
		ETag:     r.etag(),
		Metadata: r.Metadata,
		Options:  contrib.SetStateOption{Concurrency: r.Concurrency, Consistency: r.Consistency},
	}
	if r.ContentType != "" {
		set.ContentType = &r.ContentType
	}
	switch {
	case s.cipher != nil:
		set.Value = s.cipher.encrypt(r.Value)
	case r.JSON:
		set.Value = json.RawMessage(r.Value)
	case r.Value == nil: // an empty value, which SQL drivers would take for NULL
		set.Value = []byte{}
	default:
		set.Value = r.Value
	}
	return set, nil
}

func (s *store) deleteRequest(key string, c *Condition) (contrib.DeleteRequest, error) {
	key, err := s.driverKey(key)
	if err != nil {
		return contrib.DeleteRequest{}, err
	}
	if err := c.check(); err != nil {
		return contrib.DeleteRequest{}, err
	}
	return contrib.DeleteRequest{
		Key:      key,
		ETag:     c.etag(),
		Metadata: c.Metadata,
		Options:  contrib.DeleteStateOption{Concurrency: c.Concurrency, Consistency: c.Consistency},
	}, nil
}

func (c *Condition) etag() *string {
	if c.ETag == "" || c.Concurrency == contrib.LastWrite {
		return nil
	}
	return &c.ETag
}

func (c *Condition) check() error {
	if err := checkConsistency(c.Consistency); err != nil {
		return err
	}
	switch c.Concurrency {
	case "", contrib.FirstWrite, contrib.LastWrite:
	default:
		return errOption("concurrency", c.Concurrency, "first-write, last-write")
	}
	if ttl := c.Metadata["ttlInSeconds"]; ttl != "" {
		if n, err := strconv.ParseInt(ttl, 10, 64); err != nil || n < -1 || n > math.MaxInt32 {
			return errTTL(ttl)
		}
	}
	return nil
}

func checkConsistency(c string) error {
	switch c {
	case "", contrib.Eventual, contrib.Strong:
		return nil
	}
	return errOption("consistency", c, "eventual, strong")
}

// explain makes a failed write that was to create a key a mismatch of etags
// when the key is there. Half of the drivers answer with any error then, and
// the app could not tell it from a store that is down.
func (s *store) explain(ctx context.Context, sets []contrib.SetRequest, err error) error {
	var etag *contrib.ETagError
	if errors.As(err, &etag) {
		return err
	}
	for i := range sets {
		if sets[i].Options.Concurrency != contrib.FirstWrite || sets[i].HasETag() || !failed(err, sets[i].Key) {
			continue
		}
		got, getErr := s.driver.Get(ctx, &contrib.GetRequest{Key: sets[i].Key, Metadata: sets[i].Metadata})
		if getErr == nil && got != nil && len(got.Data) > 0 {
			return contrib.NewETagError(contrib.ETagMismatch, err)
		}
	}
	return err
}

// failed reports whether err is about the key: bulk writes join one error for
// each key that failed, single writes fail with an error that names none.
func failed(err error, key string) bool {
	var keyed contrib.BulkStoreError
	if !errors.As(err, &keyed) {
		return true
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if errors.As(e, &keyed) && keyed.Key() == key {
				return true
			}
		}
		return false
	}
	return keyed.Key() == key
}
