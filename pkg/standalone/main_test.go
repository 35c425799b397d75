//go:build !windows

package standalone

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/instances"
)

// The test's program plays all roles: run under one of these names as its first
// argument it is a keeper, a sidecar, an app or a CLI.
const (
	roleKeeper = "__keep"
	roleApp    = "__app"
	roleCLI    = "__cli"
)

func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch {
	case role == roleKeeper:
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
		exitOn(Keep(context.Background(), os.Stdin))
	case role == roleApp:
		playApp(os.Args[2:])
		os.Exit(0)
	case role == roleCLI:
		playCLI(os.Args[2:])
	case strings.HasPrefix(role, "--") && !strings.HasPrefix(role, "--test"):
		exitOn(playSidecar(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// playSidecar does of a sidecar what the engine meets: the inherited ports, the
// registry, health and metadata. Some app ids make it misbehave.
func playSidecar(args []string) error {
	f := flag.NewFlagSet("daprd", flag.ContinueOnError)
	appID := f.String("app-id", "", "")
	httpPort := f.Int("dapr-http-port", 0, "")
	f.String("app-protocol", "", "")
	f.String("log-level", "", "")
	f.String("resources-path", "", "")
	f.String("app-channel-address", "", "")
	f.Int("app-port", 0, "")
	f.Int("dapr-grpc-port", 0, "")
	f.Int("metrics-port", 0, "")
	f.Int("dapr-internal-grpc-port", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	fmt.Println("sidecar of", *appID)
	if *appID == "dying" {
		return errors.New("level=fatal msg=\"no such driver\"")
	}
	inherited, err := freeport.Adopt(os.Getenv(freeport.Env))
	if err != nil {
		return err
	}
	l, err := inherited.Listen("http", "127.0.0.1", *httpPort, "")
	if err != nil {
		return err
	}
	reg, err := instances.Register(instances.Folder(instances.RuntimeDir(os.LookupEnv)), instances.Instance{
		AppID: *appID, PID: os.Getpid(), HTTPPort: *httpPort, Started: time.Now(), MetricsEnabled: true,
	})
	if err != nil {
		return err
	}
	if *appID == "silent" { // listens and never answers
		time.Sleep(time.Hour)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1.0/healthz/outbound", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PUT /v1.0/metadata/{key}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = reg.SetExtended(r.PathValue("key"), string(body))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	go http.Serve(l, mux)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	if *appID == "stubborn-sidecar" {
		time.Sleep(time.Hour)
	}
	return reg.Close()
}

// playApp is an app that does as its arguments say, one after the other.
func playApp(args []string) {
	for len(args) > 0 {
		verb := args[0]
		args = args[1:]
		switch verb {
		case "say":
			fmt.Println(args[0])
			args = args[1:]
		case "env":
			fmt.Println(args[0] + "=" + os.Getenv(args[0]))
			args = args[1:]
		case "exit":
			code, _ := strconv.Atoi(args[0])
			os.Exit(code)
		case "deaf":
			signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		case "crash":
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			time.Sleep(time.Hour)
		case "echo":
			lines := bufio.NewScanner(os.Stdin)
			lines.Scan()
			fmt.Println("read", lines.Text())
		case "spawn":
			// The rest is what the child does.
			spawn(args)
			args = []string{"wait"}
		case "leave":
			spawn(args)
			args = nil
		case "wait":
			time.Sleep(time.Hour)
		}
	}
}

// spawn starts a copy that has gone as far as it can from its parent.
func spawn(args []string) {
	cmd := exec.Command(os.Args[0], append([]string{roleApp}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	fmt.Println("spawned", cmd.Process.Pid)
}

// playCLI runs an app as the command does: runtime path, app id, the app's
// arguments.
func playCLI(args []string) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	code, err := Run(context.Background(), testOptions(args[0], args[1], args[2:]...), Streams{
		Out: os.Stdout, Err: os.Stderr, Report: printer{os.Stdout}, Signals: signals,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	os.Exit(code)
}

func testOptions(root, appID string, app ...string) RunOptions {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	o := RunOptions{
		Layout: Layout{Root: path.Join(root, FolderName)},
		Daprd:  self,
		Keeper: []string{self, roleKeeper},
		Env:    os.Environ(),
		AppID:  appID,
		Grace:  2 * time.Second,
	}
	if len(app) > 0 {
		o.Command = append([]string{self, roleApp}, app...)
	}
	return o
}

type printer struct{ w io.Writer }

func (p printer) print(format string, args ...any)   { fmt.Fprintf(p.w, format+"\n", args...) }
func (p printer) Info(format string, args ...any)    { p.print("info: "+format, args...) }
func (p printer) Success(format string, args ...any) { p.print("success: "+format, args...) }
func (p printer) Warning(format string, args ...any) { p.print("warning: "+format, args...) }
func (p printer) Failure(format string, args ...any) { p.print("failure: "+format, args...) }
