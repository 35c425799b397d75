package stores

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/state/statetest"
)

// sqlite is the store that every app on a developer's machine shares.
func sqlite(file string) component.Spec {
	return spec("state.sqlite", "v1", map[string]string{
		"connectionString": "file:" + file + "?_pragma=synchronous(NORMAL)",
		"busyTimeout":      "10s",
		"cleanupInterval":  "1h",
	})
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	s := sqlite(filepath.Join(t.TempDir(), "state.db"))
	statetest.Run(t, s)
	statetest.RunDurable(t, s)
}

const (
	sharedFile   = "TEST_SQLITE_FILE"   // makes this test binary a writer on the file
	sharedWriter = "TEST_SQLITE_WRITER" // its number

	writers        = 5
	callersEach    = 8
	writesEach     = 50 // of each caller
	sharedCounter  = "counter"
	incrementsEach = 20 // of each writer
)

// TestSQLiteSharedByProcesses lets processes that start at one moment write to
// one new file, as the sidecars of one machine do: no write may fail or be lost.
func TestSQLiteSharedByProcesses(t *testing.T) {
	if file := os.Getenv(sharedFile); file != "" {
		writeShared(t, file, os.Getenv(sharedWriter))
		return
	}
	file := filepath.Join(t.TempDir(), "state.db")
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestSQLiteSharedByProcesses$")
			cmd.Env = append(os.Environ(), sharedFile+"="+file, sharedWriter+"="+strconv.Itoa(i))
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("writer %d: %v\n%s", i, err, output)
			}
		})
	}
	wg.Wait()

	b := open(t, shared(file))
	for writer := range writers {
		for caller := range callersEach {
			for n := range writesEach {
				key := sharedKey(strconv.Itoa(writer), caller, n)
				item, err := b.Get(t.Context(), "statestore", state.GetRequest{Key: key})
				require.NoError(t, err)
				require.Equal(t, strconv.Quote(key), string(item.Data))
			}
		}
	}
	item, err := b.Get(t.Context(), "statestore", state.GetRequest{Key: sharedCounter})
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(writers*incrementsEach), string(item.Data))
}

func sharedKey(writer string, caller, n int) string {
	return fmt.Sprintf("%s-%d-%d", writer, caller, n)
}

func shared(file string) component.Spec {
	s := sqlite(file)
	s.Metadata["keyPrefix"] = "name"
	return s
}

// writeShared is what each process does.
func writeShared(t *testing.T, file, writer string) {
	t.Helper()
	b := open(t, shared(file))
	var wg sync.WaitGroup
	for caller := range callersEach {
		wg.Go(func() {
			for n := range writesEach {
				key := sharedKey(writer, caller, n)
				err := b.Save(t.Context(), "statestore", []state.SaveRequest{{Key: key, Value: []byte(strconv.Quote(key)), JSON: true}})
				if err != nil {
					t.Errorf("save %s: %v", key, err)
				}
			}
		})
	}
	for done := 0; done < incrementsEach; {
		switch err := increment(t.Context(), b); {
		case err == nil:
			done++
		case !isConflict(err):
			t.Fatalf("increment: %v", err)
		}
	}
	wg.Wait()
}

// increment adds one to the shared counter; a conflict means that another
// process came between.
func increment(ctx context.Context, b *state.Block) error {
	item, err := b.Get(ctx, "statestore", state.GetRequest{Key: sharedCounter})
	if err != nil {
		return err
	}
	n := 0
	if len(item.Data) > 0 {
		if n, err = strconv.Atoi(string(item.Data)); err != nil {
			return err
		}
	}
	return b.Save(ctx, "statestore", []state.SaveRequest{{
		Key: sharedCounter, Value: []byte(strconv.Itoa(n + 1)), JSON: true,
		Condition: state.Condition{ETag: item.ETag, Concurrency: "first-write"},
	}})
}

func isConflict(err error) bool {
	var e *apierror.Error
	return errors.As(err, &e) && e.HTTP == http.StatusConflict
}
