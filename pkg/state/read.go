package state

import (
	"context"
	"encoding/json"
	"time"

	contrib "github.com/dapr/components-contrib/state"
)

// defaultParallelism is how many keys of a bulk request a driver without a bulk
// operation of its own handles at one time.
const defaultParallelism = 10

// GetRequest asks for the value of a key.
type GetRequest struct {
	Key string
	// Consistency is "", "eventual" or "strong"; "" leaves it to the store.
	Consistency string
	// Metadata is for the driver.
	Metadata map[string]string
}

// Item is a key's value as it is stored.
type Item struct {
	Key string
	// Data is the value; it is empty when the key has none. The caller must not
	// change it: it can be the store's own memory.
	Data []byte
	// ETag is the value's version; "" when the store has none.
	ETag string
	// Metadata is what the store tells of the value, such as ttlExpireTime; it
	// can be nil.
	Metadata map[string]string
	// Err says why this item of a bulk answer could not be read; else "".
	Err string
}

// Get reads one key. A key without a value is no error.
func (b *Block) Get(ctx context.Context, storeName string, r GetRequest) (Item, error) {
	s, err := b.acquire(storeName)
	if err != nil {
		return Item{}, err
	}
	defer s.release()

	if err := checkConsistency(r.Consistency); err != nil {
		return Item{}, err
	}
	key, err := s.driverKey(r.Key)
	if err != nil {
		return Item{}, err
	}

	start := time.Now()
	got, err := s.driver.Get(ctx, &contrib.GetRequest{
		Key:      key,
		Metadata: r.Metadata,
		Options:  contrib.GetStateOption{Consistency: r.Consistency},
	})
	s.ops.Record(opGet, start, err)
	if err != nil {
		return Item{}, errGet(s.name, r.Key, err)
	}
	if got == nil {
		return Item{Key: r.Key}, nil
	}
	item := Item{Key: r.Key, Data: got.Data, ETag: deref(got.ETag), Metadata: got.Metadata}
	if item.Data, err = s.reveal(item.Data); err != nil {
		return Item{}, errGet(s.name, r.Key, err)
	}
	return item, nil
}

// BulkGet reads keys and returns one item for each, in the order of keys. A
// failure of one key is that item's Err. Drivers without a bulk operation of
// their own read parallelism keys at one time; below 1 means 10.
func (b *Block) BulkGet(ctx context.Context, storeName string, keys []string, parallelism int, metadata map[string]string) ([]Item, error) {
	s, err := b.acquire(storeName)
	if err != nil {
		return nil, err
	}
	defer s.release()
	if len(keys) == 0 {
		return []Item{}, nil
	}

	// Drivers answer in any order, and some answer a repeated key once.
	position := make(map[string]int, len(keys))
	requests := make([]contrib.GetRequest, 0, len(keys))
	for _, k := range keys {
		key, err := s.driverKey(k)
		if err != nil {
			return nil, err
		}
		if _, asked := position[key]; !asked {
			position[key] = len(requests)
			requests = append(requests, contrib.GetRequest{Key: key, Metadata: metadata})
		}
	}
	if parallelism < 1 {
		parallelism = defaultParallelism
	}

	start := time.Now()
	responses, err := s.driver.BulkGet(ctx, requests, contrib.BulkGetOpts{Parallelism: parallelism})
	s.ops.Record(opBulkGet, start, err)
	if err != nil {
		return nil, errBulkGet(s.name, err)
	}

	found := make([]Item, len(requests))
	for _, r := range responses {
		i, asked := position[r.Key]
		if !asked {
			continue
		}
		item := Item{Data: r.Data, ETag: deref(r.ETag), Metadata: r.Metadata, Err: r.Error}
		if item.Data, err = s.reveal(item.Data); err != nil {
			item = Item{Err: err.Error()}
		}
		found[i] = item
	}
	items := make([]Item, len(keys))
	for i, k := range keys {
		items[i] = found[position[s.prefix+k]]
		items[i].Key = k
	}
	return items, nil
}

// Answer is what a query found.
type Answer struct {
	Items []Item
	// Token asks for the next page; "" at the end.
	Token    string
	Metadata map[string]string
}

// Query finds values by the JSON query, in stores that can and do not encrypt.
func (b *Block) Query(ctx context.Context, storeName string, query []byte, metadata map[string]string) (Answer, error) {
	s, err := b.acquire(storeName)
	if err != nil {
		return Answer{}, err
	}
	defer s.release()

	if s.querier == nil {
		return Answer{}, errNoQueries(s.name)
	}
	if s.cipher != nil {
		return Answer{}, errQueryEncrypted(s.name)
	}
	request := contrib.QueryRequest{Metadata: metadata}
	if err := json.Unmarshal(query, &request.Query); err != nil {
		return Answer{}, errMalformedQuery(err)
	}

	start := time.Now()
	response, err := s.querier.Query(ctx, &request)
	s.ops.Record(opQuery, start, err)
	if err != nil {
		return Answer{}, errQuery(s.name, err)
	}
	if response == nil {
		return Answer{}, nil
	}
	answer := Answer{Items: make([]Item, len(response.Results)), Token: response.Token, Metadata: response.Metadata}
	for i, r := range response.Results {
		answer.Items[i] = Item{Key: appKey(r.Key), Data: r.Data, ETag: deref(r.ETag), Err: r.Error}
	}
	return answer, nil
}

// reveal returns the app's value of a stored one.
func (s *store) reveal(stored []byte) ([]byte, error) {
	if s.cipher == nil || len(stored) == 0 {
		return stored, nil
	}
	return s.cipher.decrypt(stored)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
