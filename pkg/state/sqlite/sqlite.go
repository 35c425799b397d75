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
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

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

// Init opens the database file, which it makes where there is none.
func (s *Store) Init(ctx context.Context, md state.Metadata) error {
	err := s.SQLiteStore.Init(ctx, md)
	if err == nil {
		return nil
	}
	// SQLite says "out of memory" when the folder is missing.
	if folder := folder(md); folder != "" {
		if _, statErr := os.Stat(folder); errors.Is(statErr, fs.ErrNotExist) {
			return fmt.Errorf("the folder %s of metadata connectionString does not exist: create it: %w", folder, err)
		}
	}
	return err
}

// folder is where the database file is to be; "" when it is not kept in a file,
// or its name is in a form that only SQLite understands.
func folder(md state.Metadata) string {
	name, _ := md.GetProperty("connectionString", "url")
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "file:"), "?")
	name, err := url.PathUnescape(name)
	if err != nil || name == "" || strings.HasPrefix(name, ":memory:") || strings.HasPrefix(name, "//") {
		return ""
	}
	return filepath.Dir(name)
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
