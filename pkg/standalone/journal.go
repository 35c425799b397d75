package standalone

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// journal is what a run leaves to read: a file for each program with its lines
// as they were, and one with all lines in the order in which they came, each
// with its prefix. The order of two programs cannot be found out later, because
// apps' lines carry no time.
type journal struct {
	app, sidecar, both *os.File
}

const journalTime = "20060102150405"

// openJournal makes the files of a run that begins now.
func openJournal(folder, appID string, now time.Time) (*journal, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder for logs: %w", err)
	}
	stamp := now.Format(journalTime)
	j := &journal{}
	for file, name := range map[**os.File]string{
		&j.app:     appID + "_app_" + stamp + ".log",
		&j.sidecar: appID + "_daprd_" + stamp + ".log",
		&j.both:    appID + "_run_" + stamp + ".log",
	} {
		// Appended to, should the app have been run twice in one second.
		f, err := os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("create a log: %w", err), j.close())
		}
		*file = f
	}
	return j, nil
}

func (j *journal) close() error {
	var errs []error
	for _, f := range []*os.File{j.app, j.sidecar, j.both} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// latestJournal finds the file with all lines of an app's last run. The error
// names the apps that have one when this app has none.
func latestJournal(folder, appID string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the folder of logs: %w", err)
	}
	latest := make(map[string]string) // app id to stamp
	for _, e := range entries {
		if id, stamp, ok := splitJournalName(e.Name()); ok {
			latest[id] = max(latest[id], stamp)
		}
	}
	stamp, ok := latest[appID]
	switch {
	case len(latest) == 0:
		return "", fmt.Errorf("no logs of app %s: nothing was run yet", appID)
	case !ok:
		return "", fmt.Errorf("no logs of app %s; there are logs of %s", appID, strings.Join(slices.Sorted(maps.Keys(latest)), ", "))
	}
	return filepath.Join(folder, appID+"_run_"+stamp+".log"), nil
}

func splitJournalName(name string) (appID, stamp string, ok bool) {
	name, isLog := strings.CutSuffix(name, ".log")
	i := strings.LastIndex(name, "_run_")
	if !isLog || i < 0 {
		return "", "", false
	}
	stamp = name[i+len("_run_"):]
	_, err := time.Parse(journalTime, stamp)
	return name[:i], stamp, err == nil
}
