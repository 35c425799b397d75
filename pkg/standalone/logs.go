package standalone

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// LogsOptions say what Logs shows.
type LogsOptions struct {
	AppID string
	// Follow goes on while the app runs.
	Follow bool
	// Tail is how many of the last lines are shown; below 0 means all.
	Tail int
}

// Logs copies the lines of an app's last run, running or over, to w: those of
// the app and of its sidecar, each with its prefix, in the order they came.
func Logs(ctx context.Context, l Layout, w io.Writer, o LogsOptions) error {
	path, err := latestJournal(l.Logs(), o.AppID)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer f.Close()
	if o.Tail >= 0 {
		if err := seekTail(f, o.Tail); err != nil {
			return fmt.Errorf("read log %s: %w", path, err)
		}
	}
	if _, err := io.Copy(w, f); err != nil || !o.Follow {
		return err
	}
	return follow(ctx, l, w, f, o.AppID)
}

// seekTail moves to the beginning of the n-th line from the end.
func seekTail(f io.ReadSeeker, n int) error {
	const block = 64 << 10
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return err
	}
	buf := make([]byte, block)
	lines := 0
	for start := end; start > 0; {
		size := min(block, start)
		start -= size
		if _, err := f.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.ReadFull(f, buf[:size]); err != nil {
			return err
		}
		for i := int(size) - 1; i >= 0; i-- {
			if buf[i] != '\n' || start+int64(i) == end-1 {
				continue
			}
			if lines++; lines == n {
				_, err := f.Seek(start+int64(i)+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// follow copies what is added, until ctx ends or the app has been gone for long
// enough that it is not just starting.
func follow(ctx context.Context, l Layout, w io.Writer, f *os.File, appID string) error {
	const (
		pause   = 100 * time.Millisecond
		patient = time.Second
	)
	seen := time.Now()
	for {
		n, err := io.Copy(w, f)
		if err != nil {
			return err
		}
		running, err := instances.List(l.Instances())
		if err != nil {
			return err
		}
		for _, i := range running {
			if i.AppID == appID {
				seen = time.Now()
			}
		}
		if n == 0 && time.Since(seen) > patient {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
