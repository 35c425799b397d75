package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/embed/embedtest"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

// program answers with its version, as the real one does.
func program(version string) string { return "#!/bin/sh\necho " + version + "\n" }

func source(t *testing.T, version string) standalone.Source {
	t.Helper()
	programs := map[string]string{"daprd": program(version), "controlplane": program(version)}
	return standalone.Source{Payload: embedtest.Payload(t, version, programs), Beside: t.TempDir(), Version: version}
}

// healthy is a machine on which nothing is wrong: the runtime is installed, and
// nothing runs.
func healthy(t *testing.T) *Machine {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts")
	}
	l := standalone.Layout{Root: filepath.Join(t.TempDir(), standalone.FolderName)}
	m := ThisMachine(l, source(t, "1.2.3"), []string{"PATH=" + os.Getenv("PATH")}, func(string) string { return "" }, time.Now)
	// Other programs of the machine that runs the test must not show up.
	m.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if _, port, err := net.SplitHostPort(address); err == nil {
			for _, w := range wellKnown {
				if port == strconv.Itoa(w.port) {
					return nil, errors.New("refused")
				}
			}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	m.Resolve = func(context.Context, string) ([]string, error) { return []string{"::1", "127.0.0.1"}, nil }
	m.DiskFree = func(string) (uint64, error) { return 8 << 30, nil }
	m.Outbound = func(context.Context, instances.Instance) (bool, string, error) { return true, "", nil }
	m.PortOwner = func(int) (string, int, bool) { return "", 0, false }
	_, err := standalone.Init(t.Context(), l, m.Source, standalone.InitOptions{})
	require.NoError(t, err)
	return m
}

// of returns what the check with the name finds beside what is in order.
func of(t *testing.T, m *Machine, name string) []Finding {
	t.Helper()
	var bad []Finding
	known := false
	for _, c := range machineChecks {
		known = known || c.name == name
	}
	require.True(t, known, "no check %s", name)
	for _, f := range m.Examine(t.Context()) {
		if f.Check == name && f.Level != OK {
			bad = append(bad, f)
		}
	}
	return bad
}

func TestAHealthyMachine(t *testing.T) {
	m := healthy(t)
	findings := m.Examine(t.Context())
	for _, f := range findings {
		require.Equal(t, OK, f.Level, "%+v", f)
		require.NotEmpty(t, f.Found)
	}
	require.Equal(t, Summary{OK: len(findings)}, Summarize(findings))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// listen returns the port of a server that accepts.
func listen(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// closed returns a port that nobody listens on.
func closed(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func register(t *testing.T, m *Machine, i instances.Instance) {
	t.Helper()
	r, err := instances.Register(m.Layout.Instances(), i)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
}

// abandon leaves what a killed sidecar does.
func abandon(t *testing.T, m *Machine, i instances.Instance) {
	t.Helper()
	folder := m.Layout.Instances()
	data, err := json.Marshal(i)
	require.NoError(t, err)
	name := filepath.Join(folder, i.AppID+"@@"+strconv.Itoa(i.PID))
	write(t, name+".json", string(data))
	write(t, name+".lock", "")
}

// yamlOf is a Component.
func yamlOf(name, typ, metadata string) string {
	return strings.Join([]string{
		"apiVersion: dapr.io/v1alpha1", "kind: Component", "metadata: {name: " + name + "}",
		"spec:", "  type: " + typ, "  version: v1", "  metadata: " + metadata, "",
	}, "\n")
}

// patient is a machine to break.
type patient struct {
	*Machine
	t *testing.T
}

// TestEveryCheckFindsItsFault breaks one thing after the other.
func TestEveryCheckFindsItsFault(t *testing.T) {
	for _, tt := range []struct {
		name, check string
		breaks      func(patient)
		level       Level
		found, fix  string
		// mended tells that Repair mends it.
		mended bool
	}{
		{"no runtime", "folder", func(m patient) { require.NoError(m.t, os.RemoveAll(m.Layout.Root)) },
			Info, "there is no runtime folder", "dapr init", false},
		{"a file in its place", "folder", func(m patient) {
			require.NoError(m.t, os.RemoveAll(m.Layout.Root))
			write(m.t, m.Layout.Root, "")
		}, Error, "is a file, but must be a folder", "move it away", false},
		{"writable by others", "folder", func(m patient) { require.NoError(m.t, os.Chmod(m.Layout.Root, 0o777)) },
			Error, ".dapr are 0777", "chmod 0755 ", true},
		{"programs that cannot be run", "folder", func(m patient) { require.NoError(m.t, os.Chmod(m.Layout.ControlPlane(), 0o644)) },
			Error, "controlplane are 0644", "chmod 0744 ", true},
		{"readable state", "folder", func(m patient) { require.NoError(m.t, os.Chmod(m.Layout.Data(), 0o755)) },
			Warning, "data are 0755", "chmod 0700 ", true},
		{"somebody else's files", "folder", func(m patient) { m.UserID++ },
			Error, "belong to the user ", "sudo chown -R ", false},
		{"a full disk", "disk", func(m patient) { m.DiskFree = func(string) (uint64, error) { return 5 << 20, nil } },
			Error, "only 5.0 MiB free", "make room", false},
		{"a disk that is almost full", "disk", func(m patient) { m.DiskFree = func(string) (uint64, error) { return 500 << 20, nil } },
			Warning, "only 500.0 MiB free", "make room", false},
		{"a disk that does not tell", "disk", func(m patient) {
			m.DiskFree = func(string) (uint64, error) { return 0, errors.New("no answer") }
		}, Warning, "it cannot be told: free space at ", "", false},
		{"a clock that is late", "clock", func(m patient) {
			m.Now = func() time.Time { return time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC) }
		}, Error, "the clock says 1970-01-01", "set the clock", false},
		{"no loopback", "loopback", func(m patient) {
			m.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("network is unreachable")
			}
		}, Error, "no connection over 127.0.0.1: network is unreachable", "ip link set lo up", false},
		{"another localhost", "loopback", func(m patient) {
			m.Resolve = func(context.Context, string) ([]string, error) { return []string{"10.0.0.1"}, nil }
		}, Warning, "localhost means 10.0.0.1, not 127.0.0.1", "hosts file", false},
		{"a proxy", "proxy", func(m patient) {
			m.Getenv = func(name string) string {
				return map[string]string{"http_proxy": "http://proxy:3128", "no_proxy": "localhost,.example.com"}[name]
			}
		}, Warning, "http_proxy is set, and NO_PROXY does not leave out 127.0.0.1", "export NO_PROXY=", false},
		{"another version", "version", func(m patient) { m.Source = source(m.t, "1.3.0") },
			Info, "the CLI has version 1.3.0, the runtime 1.2.3", "dapr init", false},
		{"the daprd of another Dapr", "version", func(m patient) {
			require.NoError(m.t, os.Remove(m.Layout.Inventory()))
		}, Warning, "has version 1.2.3, and was not installed by this dapr", "dapr init", false},
		{"a damaged CLI", "payload", func(m patient) {
			m.Source.Payload.(fstest.MapFS)[embed.PackedFile("daprd")] = source(m.t, "6.6.6").Payload.(fstest.MapFS)[embed.PackedFile("daprd")]
		}, Error, "a program inside this dapr is damaged: daprd: ", "install dapr again", false},
		{"a damaged program", "programs", func(m patient) {
			require.NoError(m.t, os.WriteFile(m.Layout.Daprd(), []byte(program("1.2.4")), 0o700))
		}, Error, "is not as it was installed", fixCommand, true},
		{"a missing program", "programs", func(m patient) { require.NoError(m.t, os.Remove(m.Layout.Daprd())) },
			Error, "daprd is missing", fixCommand, true},
		{"half an installation", "leftovers", func(m patient) {
			write(m.t, filepath.Join(m.Layout.Bin(), ".daprd.new123"), "half")
			write(m.t, filepath.Join(m.Layout.Root, "init.lock"), "")
		}, Warning, "2 files of an installation that was broken off", fixCommand, true},
		{"a killed sidecar", "registry", func(m patient) {
			dir, err := os.MkdirTemp("", "sock") //nolint:usetesting // t.TempDir is too long a path for a socket on some systems
			require.NoError(m.t, err)
			m.t.Cleanup(func() { os.RemoveAll(dir) })
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "dapr-orders-http.socket"), Net: "unix"})
			require.NoError(m.t, err)
			l.SetUnlinkOnClose(false)
			require.NoError(m.t, l.Close())
			abandon(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7, SocketDir: dir})
		}, Warning, "1 registry entry of sidecars that are gone: orders@@7; and their sockets: ", fixCommand, true},
		{"a broken entry", "registry", func(m patient) {
			register(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7})
			write(m.t, filepath.Join(m.Layout.Instances(), "orders@@7.json"), "{")
		}, Error, "the entry of a sidecar that runs cannot be read", "end process 7", false},
		{"a run without its dapr run", "processes", func(m patient) {
			register(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7})
			m.Abandoned = func(i instances.Instance) bool { return i.PID == 7 }
		}, Warning, "the sidecar of orders (process 7) runs on", "dapr stop --app-id orders", false},
		{"a sidecar nobody knows", "processes", func(m patient) {
			m.Processes = func(string) ([]int, error) { return []int{4242}, nil }
		}, Warning, "process 4242 is a sidecar of ", "end process 4242", false},
		{"a taken port", "ports", func(m patient) {
			m.Dial = dialAll
			m.PortOwner = func(port int) (string, int, bool) { return "nginx", 12, port == 3500 }
		}, Info, "port 3500 (HTTP API) is taken by nginx (process 12)", "leave it as it is", false},
		{"a sidecar that has it", "ports", func(m patient) {
			register(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7, HTTPPort: 3500})
			m.Dial = dialAll
		}, Info, "the sidecar of orders has port 3500 (HTTP API)", "", false},
		{"a port that another has", "sidecars", func(m patient) {
			port := listen(m.t)
			register(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7, GRPCPort: port})
			m.PortOwner = func(int) (string, int, bool) { return "nginx", 12, true }
		}, Error, "(gRPC API), but nginx (process 12) has it", "dapr stop --app-id orders", false},
		{"a sidecar that hangs", "sidecars", func(m patient) {
			register(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7, Address: local(closed(m.t))})
		}, Error, "(calls of other sidecars)", "dapr logs --app-id orders", false},
		{"a sidecar that is not ready", "sidecars", func(m patient) {
			register(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7})
			m.Outbound = func(context.Context, instances.Instance) (bool, string, error) {
				return false, "component statestore: refused", nil
			}
		}, Warning, "the sidecar of orders is not ready: component statestore: refused", "dapr logs --app-id orders", false},
		{"a sidecar that does not answer", "sidecars", func(m patient) {
			register(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7})
			m.Outbound = func(context.Context, instances.Instance) (bool, string, error) {
				return false, "", errors.New("timeout")
			}
		}, Error, "the sidecar of orders (process 7) does not answer: timeout", "dapr logs --app-id orders", false},
		{"an app that listens elsewhere", "sidecars", func(m patient) {
			register(m.t, m.Machine, instances.Instance{AppID: "orders", PID: 7, AppPort: closed(m.t)})
		}, Warning, "the app orders does not listen on port ", "--app-port PORT", false},
		{"a mistake in a component", "resources", func(m patient) {
			write(m.t, filepath.Join(m.Layout.Components(), "s.yaml"), strings.Replace(yamlOf("s", "state.redis", "[]"), "metadata: []", "metdata: []", 1))
		}, Error, "did you mean metadata?", "edit line 7 of ", false},
		{"a mistake in the Configuration", "resources", func(m patient) { write(m.t, m.Layout.Config(), "kind: Configuration\n") },
			Error, "apiVersion: missing", "edit line 1 of ", false},
		{"an unknown category", "resources", func(m patient) {
			write(m.t, filepath.Join(m.Layout.Components(), "s.yaml"), yamlOf("s", "stat.redis", "[]"))
		}, Error, `unknown category "stat"; did you mean state?`, "edit line 5 of ", false},
		{"a missing secret store", "resources", func(m patient) {
			write(m.t, filepath.Join(m.Layout.Components(), "s.yaml"), yamlOf("s", "state.redis", "[{name: redisPassword, secretKeyRef: {name: a, key: b}}]")+"auth: {secretStore: vault}\n")
		}, Error, `has its secrets in the store "vault", which is no component`, `add a component "vault"`, false},
		{"a server that is down", "services", func(m patient) {
			write(m.t, filepath.Join(m.Layout.Components(), "s.yaml"), yamlOf("s", "state.redis", "[{name: redisHost, value: 'localhost:"+strconv.Itoa(closed(m.t))+"'}]"))
		}, Warning, "the component s (state.redis) needs a server at localhost:", "start the server, or change redisHost in ", false},
		{"traces to nobody", "services", func(m patient) {
			write(m.t, m.Layout.Config(), "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\nspec: {tracing: {samplingRate: \"1\", zipkin: {endpointAddress: 'http://localhost:"+
				strconv.Itoa(closed(m.t))+"/api/v2/spans'}}}\n")
		}, Info, "traces go to localhost:", "start Zipkin", false},
		{"old logs", "logs", func(m patient) {
			path := filepath.Join(m.Layout.Logs(), "a_run_20200101000000.log")
			write(m.t, path, "line\n")
			old := time.Now().Add(-40 * 24 * time.Hour)
			require.NoError(m.t, os.Chtimes(path, old, old))
		}, Info, "1 log of runs in ", "-mtime +30 -delete", false},
		{"many logs", "logs", func(m patient) {
			path := filepath.Join(m.Layout.Logs(), "a_run_20200101000000.log")
			write(m.t, path, "")
			require.NoError(m.t, os.Truncate(path, 600<<20)) // a hole, not written
		}, Warning, "600.0 MiB", "-mtime +30 -delete", false},
		{"another Dapr's programs", "other-installation", func(m patient) { write(m.t, filepath.Join(m.Layout.Bin(), "placement"), "") },
			Info, "1 program of another Dapr: ", "dapr_redis", false},
		{"somebody's file", "other-installation", func(m patient) { write(m.t, filepath.Join(m.Layout.Bin(), "notes.txt"), "") },
			Info, "that dapr did not put there: ", "remove what you do not need", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := healthy(t)
			tt.breaks(patient{m, t})
			found := of(t, m, tt.check)
			require.NotEmpty(t, found)
			require.Equal(t, tt.level, found[0].Level)
			require.Contains(t, found[0].Found, tt.found)
			require.Contains(t, found[0].Fix, tt.fix)
			require.Equal(t, tt.mended, found[0].Fixable)
			if !tt.mended {
				return
			}
			for _, r := range Repair(t.Context(), found) {
				require.Empty(t, r.Error)
				require.NotEmpty(t, r.Done)
				require.Equal(t, tt.check, r.Check)
			}
			require.Empty(t, of(t, m, tt.check), "it is mended")
		})
	}
}

// dialAll connects to whatever is asked for.
func dialAll(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		_, _ = server.Write([]byte("dapr"))
		server.Close()
	}()
	return client, nil
}

func TestNothingIsMendedThatIsInUse(t *testing.T) {
	m := healthy(t)
	write(t, filepath.Join(m.Layout.Bin(), ".daprd.new1"), "")
	lock := flock.New(filepath.Join(m.Layout.Root, "init.lock"))
	require.NoError(t, lock.Lock())
	require.Empty(t, of(t, m, "leftovers"), "an installation is under way")
	require.NoError(t, lock.Unlock())

	register(t, m, instances.Instance{AppID: "orders", PID: 7})
	require.Empty(t, of(t, m, "registry"))
}

func TestARepairThatFails(t *testing.T) {
	f := fault("x").by(func(context.Context) (string, error) { return "", errors.New("no way") })
	f.Check = "programs"
	require.Equal(t, []Repaired{{Check: "programs", Error: "no way"}}, Repair(t.Context(), []Finding{okay("y"), f}))
}

func TestAnEndedExaminationStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, healthy(t).Examine(ctx))
}

func TestEveryCheckIsNamedOnceAndDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	require.NoError(t, err)
	machine, cluster, ok := strings.Cut(string(page), "\n## In a cluster\n")
	require.True(t, ok)
	documented := func(name, in string, seen map[string]bool) {
		require.False(t, seen[name], "two checks named %s", name)
		require.Contains(t, in, "\n| `"+name+"` | ", "docs/doctor.md has no row for the check")
		seen[name] = true
	}
	seen := make(map[string]bool)
	for _, c := range machineChecks {
		documented(c.name, machine, seen)
	}
	seen = make(map[string]bool)
	for _, c := range clusterChecks {
		documented(c.name, cluster, seen)
	}
}

func TestFew(t *testing.T) {
	require.Equal(t, "a, b", few([]string{"b", "a"}))
	require.Equal(t, "a, b, c, d, e and 2 more", few([]string{"g", "f", "e", "d", "c", "b", "a"}))
}

func TestARuntimeFolderThatCannotBeMade(t *testing.T) {
	m := healthy(t)
	home := t.TempDir()
	m.Layout.Root = filepath.Join(home, standalone.FolderName)
	target := filepath.Join(home, "gone")
	require.NoError(t, os.Symlink(target, m.Layout.Root))
	found := of(t, m, "folder")
	require.Len(t, found, 1)
	require.Equal(t, Error, found[0].Level)
	require.Equal(t, m.Layout.Root+" is a link to "+target+", which is not there", found[0].Found)
	require.Equal(t, "mkdir -p "+target+", or: rm "+m.Layout.Root, found[0].Fix)

	// Where nobody may write, not even root.
	if _, err := os.Stat("/proc/self"); err == nil {
		m.Layout.Root = "/proc/self/.dapr"
		found = of(t, m, "folder")
		require.Len(t, found, 1)
		require.Equal(t, Error, found[0].Level)
		require.Contains(t, found[0].Fix, "--runtime-path")
	}
}

func TestAFolderThatIsAFile(t *testing.T) {
	m := healthy(t)
	require.NoError(t, os.RemoveAll(m.Layout.Instances()))
	write(t, m.Layout.Instances(), "x")
	found := of(t, m, "folder")
	require.Len(t, found, 1)
	require.Equal(t, m.Layout.Instances()+" is a file, but must be a folder", found[0].Found)
	require.False(t, found[0].Fixable)
	for _, f := range m.Examine(t.Context()) {
		if f.Level == Error || f.Level == Warning {
			require.NotEmpty(t, f.Fix, f.Found)
		}
	}
}

func TestAFolderThatItsOwnerCannotUse(t *testing.T) {
	m := healthy(t)
	require.NoError(t, os.Chmod(m.Layout.Root, 0o555))
	found := of(t, m, "folder")
	require.Len(t, found, 1)
	require.Equal(t, "you cannot use it yourself", found[0].Why)
	Repair(t.Context(), found)
	require.Empty(t, of(t, m, "folder"))
}
