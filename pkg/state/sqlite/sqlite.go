// Package sqlite is the SQLite state store: the component library's driver with
// its writes in a queue.
//
// SQLite lets one writer in at a time. Others do not queue there: they sleep and
// try again, longer each time, until they give up with "database is locked".
// Callers of one sidecar wait for each other here instead, in order and without
// sleeping; what is left for SQLite are the other processes on the same file.
package sqlite

import (
	"context"

	"github.com/dapr/components-contrib/state"
	driver "github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/kit/logger"
)

// Store is a SQLite state store.
type Store struct {
	*driver.SQLiteStore
	writer chan struct{} // holds the one token while somebody writes
}

// New returns a store that is not open yet.
func New(log logger.Logger) state.Store {
	return &Store{
		SQLiteStore: driver.NewSQLiteStateStore(log).(*driver.SQLiteStore),
		writer:      make(chan struct{}, 1),
	}
}

// Set writes one value.
func (s *Store) Set(ctx context.Context, r *state.SetRequest) error {
	return s.write(ctx, func() error { return s.SQLiteStore.Set(ctx, r) })
}

// Delete removes one value.
func (s *Store) Delete(ctx context.Context, r *state.DeleteRequest) error {
	return s.write(ctx, func() error { return s.SQLiteStore.Delete(ctx, r) })
}

// BulkSet writes values, each on its own.
func (s *Store) BulkSet(ctx context.Context, r []state.SetRequest, o state.BulkStoreOpts) error {
	return state.DoBulkSetDelete(ctx, r, s.Set, o)
}

// BulkDelete removes values, each on its own.
func (s *Store) BulkDelete(ctx context.Context, r []state.DeleteRequest, o state.BulkStoreOpts) error {
	return state.DoBulkSetDelete(ctx, r, s.Delete, o)
}

// Multi does all operations or none.
func (s *Store) Multi(ctx context.Context, r *state.TransactionalStateRequest) error {
	return s.write(ctx, func() error { return s.SQLiteStore.Multi(ctx, r) })
}

func (s *Store) write(ctx context.Context, f func() error) error {
	select {
	case s.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.writer }()
	return f()
}
