package standalone

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTail(t *testing.T) {
	var many strings.Builder
	for i := range 20000 { // several blocks
		fmt.Fprintf(&many, "line %d\n", i)
	}
	tests := map[string]struct {
		text string
		n    int
		want string
	}{
		"two of three":      {"a\nb\nc\n", 2, "b\nc\n"},
		"none":              {"a\nb\n", 0, ""},
		"more than there":   {"a\nb\n", 9, "a\nb\n"},
		"exactly all":       {"a\nb\n", 2, "a\nb\n"},
		"an unfinished one": {"a\nb\nc", 1, "c"},
		"an empty one":      {"a\n\n", 1, "\n"},
		"of nothing":        {"", 3, ""},
		"across blocks":     {many.String(), 15000, many.String()[strings.Index(many.String(), "line 5000\n"):]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := strings.NewReader(tt.text)
			require.NoError(t, seekTail(r, tt.n))
			var got bytes.Buffer
			_, err := got.ReadFrom(r)
			require.NoError(t, err)
			require.Equal(t, tt.want, got.String())
		})
	}
}

func TestLogsAreThoseOfTheAppsLastRun(t *testing.T) {
	l := Layout{Root: t.TempDir()}
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, id := range []string{"shop", "shop", "shop_run_2", "ship"} {
		j, err := openJournal(l.Logs(), id, day.Add(time.Duration(i)*time.Second))
		require.NoError(t, err)
		_, err = fmt.Fprintf(j.both, "run %d of %s\n", i, id)
		require.NoError(t, err)
		require.NoError(t, j.close())
	}
	require.NoError(t, os.WriteFile(filepath.Join(l.Logs(), "shop_run_notatime.log"), nil, 0o600))
	require.FileExists(t, filepath.Join(l.Logs(), "shop_app_20260102030405.log"))
	require.FileExists(t, filepath.Join(l.Logs(), "shop_daprd_20260102030405.log"))

	for id, want := range map[string]string{"shop": "run 1 of shop\n", "shop_run_2": "run 2 of shop_run_2\n"} {
		var got bytes.Buffer
		// The app does not run, so that following comes to an end.
		require.NoError(t, Logs(t.Context(), l, &got, LogsOptions{AppID: id, Tail: -1, Follow: true}))
		require.Equal(t, want, got.String())
	}
	require.EqualError(t, Logs(t.Context(), l, &bytes.Buffer{}, LogsOptions{AppID: "x"}),
		"no logs of app x; there are logs of ship, shop, shop_run_2")
}
