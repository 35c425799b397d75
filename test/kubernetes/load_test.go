//go:build kubernetes

package kubernetes

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// load is an app that calls the Node app all the time.
type load struct {
	c   cluster
	pod string
}

func (c cluster) startLoad(t *testing.T) load {
	t.Helper()
	c.kubectl(t, "apply", "-f", "testdata/load.yaml")
	l := load{c, c.waitForPod(t, "app=load", "2/2").Metadata.Name}
	l.goesOn(t)
	return l
}

var tally = regexp.MustCompile(`(?m)^calls (\d+) failures (\d+) slowest (\S+)$`)

// calls tells how many there were so far, how many of them failed, and how long
// the slowest took.
func (l load) calls(t *testing.T) (all, failed int, slowest string) {
	t.Helper()
	log := l.c.kubectl(t, "logs", l.pod, "-c", "probe", "--tail=50")
	found := tally.FindAllStringSubmatch(log, -1)
	if len(found) == 0 {
		return 0, 0, ""
	}
	last := found[len(found)-1]
	all, err := strconv.Atoi(last[1])
	require.NoError(t, err)
	failed, err = strconv.Atoi(last[2])
	require.NoError(t, err)
	return all, failed, last[3]
}

// goesOn waits for calls that begin after this one.
func (l load) goesOn(t *testing.T) {
	t.Helper()
	before, _, _ := l.calls(t)
	eventually(t, 30*time.Second, func() error {
		if now, _, _ := l.calls(t); now < before+40 {
			return fmt.Errorf("%d calls, and %d before", now, before)
		}
		return nil
	})
}

// through does something while the calls go on, of which none may fail.
func (l load) through(t *testing.T, do func()) {
	t.Helper()
	begin, failedBefore, _ := l.calls(t)
	do()
	l.goesOn(t)
	end, failed, slowest := l.calls(t)
	if failed != failedBefore {
		var lines []string
		for line := range strings.Lines(l.c.kubectl(t, "logs", l.pod, "-c", "probe", "--tail=-1")) {
			if strings.HasPrefix(line, "failed: ") {
				lines = append(lines, line)
			}
		}
		require.Fail(t, "calls have failed", strings.Join(lines, ""))
	}
	require.Equal(t, l.pod, l.c.waitForPod(t, "app=load", "2/2").Metadata.Name, "the pod is the same")
	t.Logf("%d calls meanwhile, none lost; the slowest so far took %s", end-begin, slowest)
}

// under is a step during which the calls go on.
func (l load) under(do func(*testing.T, cluster)) func(*testing.T, cluster) {
	return func(t *testing.T, c cluster) { l.through(t, func() { do(t, c) }) }
}
