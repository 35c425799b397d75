// Package mysql is the MySQL and MariaDB state store: the component library's
// driver, which it corrects in three points. Keys that differ only in case,
// accents or trailing spaces are keys of their own, which they are not under the
// server's usual collations. A first-write succeeds on a key whose value has
// expired but is not cleaned up yet. And a write that the server gave up for
// another one is tried again.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dapr/components-contrib/state"
	driver "github.com/dapr/components-contrib/state/mysql"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/metadata"
	client "github.com/go-sql-driver/mysql"
)

// Store is a MySQL state store.
type Store struct {
	*driver.MySQL

	log   logger.Logger
	db    *sql.DB // the library keeps its own to itself
	table string
}

// New returns a store that is not connected yet.
func New(log logger.Logger) state.Store {
	return &Store{MySQL: driver.NewMySQLStateStore(log).(*driver.MySQL), log: log}
}

// Init connects to the server and makes the tables, where there are none.
func (s *Store) Init(ctx context.Context, md state.Metadata) error {
	if err := s.MySQL.Init(ctx, md); err != nil {
		return err
	}
	where := struct { // as the library names them, and its defaults
		ConnectionString, SchemaName, TableName string
	}{SchemaName: "dapr_state_store", TableName: "state"}
	if err := metadata.DecodeMetadata(md.Properties, &where); err != nil {
		return err
	}
	config, err := client.ParseDSN(where.ConnectionString)
	if err != nil {
		return err
	}
	config.DBName = where.SchemaName
	connector, err := client.NewConnector(config)
	if err != nil {
		return err
	}
	s.db, s.table = sql.OpenDB(connector), where.TableName
	if err := s.distinguishKeys(ctx); err != nil {
		s.log.Warnf("keys that differ only in case, accents or trailing spaces are one key in table %s, until its column id is made VARBINARY(1020): %v", s.table, err)
	}
	return nil
}

// Close ends the connections.
func (s *Store) Close() error {
	err := s.MySQL.Close()
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	return err
}

// distinguishKeys makes the server compare keys byte by byte. It does so while
// the table is empty: with values in it, that is for its owner to decide.
func (s *Store) distinguishKeys(ctx context.Context) error {
	var bytewise, empty bool
	err := s.db.QueryRowContext(ctx, `SELECT data_type = 'varbinary' OR collation_name LIKE '%\_bin' FROM information_schema.columns
		WHERE table_schema = DATABASE() AND table_name = ? AND column_name = 'id'`, s.table).Scan(&bytewise)
	if err != nil || bytewise {
		return err
	}
	if err := s.db.QueryRowContext(ctx, "SELECT NOT EXISTS (SELECT 1 FROM "+s.table+")").Scan(&empty); err != nil {
		return err
	}
	if !empty {
		return errors.New("the table is in use")
	}
	// As many bytes as 255 characters of utf8mb4 can have.
	_, err = s.db.ExecContext(ctx, "ALTER TABLE "+s.table+" MODIFY id VARBINARY(1020) NOT NULL")
	return err
}

// Set writes one value.
func (s *Store) Set(ctx context.Context, r *state.SetRequest) error {
	return s.insert(ctx, []any{r.Key}, func() error { return s.MySQL.Set(ctx, r) })
}

// Delete removes one value.
func (s *Store) Delete(ctx context.Context, r *state.DeleteRequest) error {
	return again(ctx, func() error { return s.MySQL.Delete(ctx, r) })
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
	keys := make([]any, len(r.Operations))
	for i, o := range r.Operations {
		keys[i] = o.GetKey()
	}
	return s.insert(ctx, keys, func() error { return s.MySQL.Multi(ctx, r) })
}

// insert calls write. When a row is in its way that has expired, it removes the
// row and calls write once more; one that has not is a mismatch of etags, for
// only a first-write inserts where it does not replace.
func (s *Store) insert(ctx context.Context, keys []any, write func() error) error {
	err := again(ctx, write)
	if !is(err, duplicateEntry) {
		return err
	}
	purged, purgeErr := s.purge(ctx, keys)
	if purgeErr != nil {
		return errors.Join(err, purgeErr)
	}
	if purged {
		err = again(ctx, write)
	}
	if is(err, duplicateEntry) {
		return state.NewETagError(state.ETagMismatch, err)
	}
	return err
}

// again calls write until the server has not undone it for the sake of another
// writer.
func again(ctx context.Context, write func() error) error {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		err := write()
		if attempt == attempts || !is(err, deadlock, autoIncrementBusy) {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *Store) purge(ctx context.Context, keys []any) (bool, error) {
	marks := strings.TrimSuffix(strings.Repeat("?,", len(keys)), ",")
	//nolint:gosec // the library has checked the table's name, and marks are question marks
	result, err := s.db.ExecContext(ctx, "DELETE FROM "+s.table+" WHERE id IN ("+marks+") AND expiredate <= CURRENT_TIMESTAMP", keys...)
	if err != nil {
		return false, fmt.Errorf("remove expired values: %w", err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Errors of the server.
const (
	duplicateEntry    = 1062
	deadlock          = 1213
	autoIncrementBusy = 1467
)

func is(err error, numbers ...uint16) bool {
	var e *client.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}
