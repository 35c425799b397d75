//go:build !windows

package standalone

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// eventually polls until the screen shows the text.
func (b *buffer) eventually(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(b.String(), text) }, 20*time.Second, 5*time.Millisecond,
		"never shown: %s", text)
}

type finished struct {
	code int
	err  error
}

// begin runs an app in the background.
func begin(o RunOptions) (screen *buffer, signals chan os.Signal, done chan finished) {
	screen, signals, done = &buffer{}, make(chan os.Signal, 2), make(chan finished, 1)
	go func() {
		code, err := Run(context.Background(), o, Streams{Out: screen, Err: screen, Report: printer{screen}, Signals: signals})
		done <- finished{code, err}
	}()
	return screen, signals, done
}

func requireNothingLeft(t *testing.T, l Layout) {
	t.Helper()
	left, err := os.ReadDir(l.Instances())
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	require.Empty(t, left)
}

func TestTheAppsExitCodeIsTheRuns(t *testing.T) {
	tests := map[string]struct {
		app  []string
		code int
		says string
	}{
		"success":          {[]string{"exit", "0"}, 0, "success: Exited App successfully"},
		"failure":          {[]string{"exit", "7"}, 7, "failure: The app exited with code 7"},
		"killed":           {[]string{"crash"}, 128 + int(syscall.SIGKILL), "failure: The app exited with code 137"},
		"leaves a child":   {[]string{"leave", "wait"}, 0, "success: Exited App successfully"},
		"leaves a deaf":    {[]string{"leave", "deaf", "wait"}, 0, "success: Exited App successfully"},
		"last line is cut": {[]string{"say", "bye", "exit", "0"}, 0, "== APP == bye"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t.TempDir(), "app", tt.app...)
			screen, _, done := begin(o)
			got := <-done
			require.NoError(t, got.err)
			require.Equal(t, tt.code, got.code, screen)
			require.Contains(t, screen.String(), tt.says)
			require.Contains(t, screen.String(), "success: You're up and running! Both Dapr and your app logs will appear here.")
			require.Contains(t, screen.String(), "== DAPR == sidecar of app")
			requireNothingLeft(t, o.Layout)
			requireGone(t, spawned(screen.String()))
		})
	}
}

func TestASignalEndsTheRun(t *testing.T) {
	tests := map[string]struct {
		appID   string
		app     []string
		signals int
		code    int
		within  time.Duration
	}{
		"polite app":              {"app", []string{"say", "up", "wait"}, 1, 0, 1500 * time.Millisecond},
		"deaf app":                {"app", []string{"deaf", "say", "up", "wait"}, 1, 137, 4 * time.Second},
		"deaf app, two signals":   {"app", []string{"deaf", "say", "up", "wait"}, 2, 137, time.Second},
		"deaf strayed grandchild": {"app", []string{"say", "up", "spawn", "deaf", "wait"}, 1, 0, 4 * time.Second},
		"deaf sidecar":            {"stubborn-sidecar", []string{"say", "up", "wait"}, 1, 0, 4 * time.Second},
		"no app":                  {"app", nil, 1, 0, 1500 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t.TempDir(), tt.appID, tt.app...)
			screen, signals, done := begin(o)
			screen.eventually(t, "You're up and running!")
			if tt.app != nil {
				screen.eventually(t, "== APP == up")
			}
			if strings.Contains(name, "grandchild") {
				screen.eventually(t, "spawned")
			}
			asked := time.Now()
			for range tt.signals {
				signals <- syscall.SIGINT
			}
			got := <-done
			require.NoError(t, got.err)
			require.Equal(t, tt.code, got.code, screen)
			require.Less(t, time.Since(asked), tt.within)
			require.Contains(t, screen.String(), "info: terminated signal received: shutting down")
			requireNothingLeft(t, o.Layout)
			requireGone(t, spawned(screen.String()))
		})
	}
}

func TestAKilledSidecarEndsTheApp(t *testing.T) {
	o := testOptions(t.TempDir(), "app", "say", "up", "wait")
	screen, _, done := begin(o)
	screen.eventually(t, "You're up and running!")
	running, err := List(o.Layout)
	require.NoError(t, err)
	require.Len(t, running, 1)
	require.NoError(t, syscall.Kill(running[0].DaprdPID, syscall.SIGKILL))
	got := <-done
	require.Equal(t, 1, got.code)
	require.ErrorContains(t, got.err, "the sidecar ended unexpectedly (signal: killed)")
	requireNothingLeft(t, o.Layout)
	requireGone(t, []int{running[0].AppPID})
}

func TestASidecarThatDiesAtOnceSaysWhy(t *testing.T) {
	o := testOptions(t.TempDir(), "dying", "say", "never")
	screen, _, done := begin(o)
	got := <-done
	require.Equal(t, 1, got.code)
	require.EqualError(t, got.err, `the sidecar ended before it was ready (exit status 1): level=fatal msg="no such driver"`)
	require.NotContains(t, screen.String(), "never")
}

func TestAStartCanBeInterrupted(t *testing.T) {
	o := testOptions(t.TempDir(), "silent", "say", "never")
	screen, signals, done := begin(o)
	screen.eventually(t, "sidecar of silent")
	signals <- syscall.SIGINT
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, 130, got.code)
	require.NotContains(t, screen.String(), "never")
	requireNothingLeft(t, o.Layout)
}

func TestListTellsOfTheRun(t *testing.T) {
	o := testOptions(t.TempDir(), "", "say", "up", "wait")
	o.AppID = ""
	screen, _, done := begin(o)
	screen.eventually(t, "You're up and running!")
	running, err := List(o.Layout)
	require.NoError(t, err)
	require.Len(t, running, 1)
	i := running[0]
	require.Regexp(t, `^[a-z]+-[a-z]+$`, i.AppID)
	require.Equal(t, os.Getpid(), i.CLIPID)
	require.Equal(t, strings.Join(o.Command, " "), i.Command)
	require.NotZero(t, i.AppPID)
	screen.eventually(t, "== APP == up")
	text, err := os.ReadFile(i.AppLogPath)
	require.NoError(t, err)
	require.Equal(t, "up\n", string(text))
	text, err = os.ReadFile(i.DaprdLogPath)
	require.NoError(t, err)
	require.Equal(t, "sidecar of "+i.AppID+"\n", string(text))

	var log bytes.Buffer
	require.NoError(t, Logs(t.Context(), o.Layout, &log, LogsOptions{AppID: i.AppID, Tail: -1}))
	require.Equal(t, "== DAPR == sidecar of "+i.AppID+"\n== APP == up\n", log.String())

	require.NoError(t, syscall.Kill(i.AppPID, syscall.SIGTERM))
	require.Equal(t, 143, (<-done).code)
}

func TestTheAppsEnvironmentAndInput(t *testing.T) {
	o := testOptions(t.TempDir(), "app", "env", "APP_ID", "env", "DAPR_HTTP_PORT", "echo", "exit", "0")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	_, err = w.WriteString("hello\n")
	require.NoError(t, err)
	screen := &buffer{}
	code, err := Run(t.Context(), o, Streams{In: r, Out: screen, Err: screen, Report: printer{screen}})
	require.NoError(t, err)
	require.Zero(t, code)
	require.Contains(t, screen.String(), "== APP == APP_ID=app\n")
	require.Regexp(t, `== APP == DAPR_HTTP_PORT=\d+\n`, screen)
	require.Contains(t, screen.String(), "== APP == read hello\n")
}

func TestABadStartLeavesNothing(t *testing.T) {
	root := t.TempDir()
	broken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(broken, "x.yaml"), []byte("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: x\nspec:\n  typ: state.redis\n"), 0o600))
	busy, err := instances.Register(filepath.Join(root, FolderName, "run"), instances.Instance{AppID: "other", PID: 1})
	require.NoError(t, err)
	defer busy.Close()
	tests := map[string]struct {
		change func(*RunOptions)
		err    string
	}{
		"no such command": {func(o *RunOptions) { o.Command = []string{"nod"} }, `the app's command "nod" is not found`},
		"app id":          {func(o *RunOptions) { o.AppID = "a.b" }, `--app-id "a.b" must not contain '.'`},
		"protocol":        {func(o *RunOptions) { o.AppProtocol = "htp" }, `--app-protocol "htp" is not known: did you mean http?`},
		"resources":       {func(o *RunOptions) { o.ResourcesPaths = []string{broken} }, "x.yaml:6: spec.typ"},
		"no resources":    {func(o *RunOptions) { o.ResourcesPaths = []string{"/nowhere"} }, "/nowhere"},
		"ports":           {func(o *RunOptions) { o.HTTPPort, o.GRPCPort = 9, 9 }, "--dapr-http-port and --dapr-grpc-port are both 9"},
		"port":            {func(o *RunOptions) { o.HTTPPort = 70000 }, "--dapr-http-port 70000 is out of range"},
		"size":            {func(o *RunOptions) { o.MaxBodySize = "4MiB" }, "--max-body-size"},
		"health":          {func(o *RunOptions) { o.EnableAppHealthCheck = true }, "--enable-app-health-check needs --app-port"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := testOptions(root, "app", "exit", "0")
			tt.change(&o)
			screen := &buffer{}
			code, err := Run(t.Context(), o, Streams{Out: screen, Err: screen, Report: printer{screen}})
			require.Equal(t, 1, code)
			require.ErrorContains(t, err, tt.err)
			require.Empty(t, screen.String())
			require.NoDirExists(t, o.Layout.Logs())
		})
	}
}
