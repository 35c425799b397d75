// Package servers starts real database servers for tests and benchmarks: each
// on a free port, with its data in a temporary folder, gone when the test ends.
package servers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Redis starts a Redis server and returns its address, host:port.
func Redis(tb testing.TB) string {
	tb.Helper()
	program := find(tb, "redis-server")
	return start(tb, "", func(dir, port string) *exec.Cmd {
		return exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	}, func(address string) error {
		return talk(address, "PING\r\n", "+PONG")
	})
}

// Postgres starts a PostgreSQL server and returns the connection string of an
// empty database.
func Postgres(tb testing.TB) string {
	tb.Helper()
	const debian = "/usr/lib/postgresql/*/bin"
	initdb, server, ready := find(tb, "initdb", debian), find(tb, "postgres", debian), find(tb, "pg_isready", debian)
	address := start(tb, "postgres", func(dir, port string) *exec.Cmd {
		data := filepath.Join(dir, "data")
		run(tb, "postgres", dir, initdb, "--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync")
		return exec.Command(server, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=", "-c", "fsync=off")
	}, func(address string) error {
		host, port, _ := net.SplitHostPort(address)
		return exec.Command(ready, "-h", host, "-p", port).Run()
	})
	return "postgres://postgres@" + address + "/postgres?sslmode=disable"
}

// MySQL starts a MariaDB server, which speaks MySQL's protocol, and returns its
// data source name, in the form of Go's driver and without a database.
func MySQL(tb testing.TB) string {
	tb.Helper()
	const debian = "/usr/sbin"
	install, server, admin := find(tb, "mariadb-install-db"), find(tb, "mariadbd", debian), find(tb, "mariadb-admin")
	address := start(tb, "mysql", func(dir, port string) *exec.Cmd {
		data := filepath.Join(dir, "data")
		run(tb, "mysql", dir, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
		return exec.Command(server, "--no-defaults", "--datadir", data, "--skip-networking=0", "--bind-address=127.0.0.1",
			"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci", // as Debian configures it
			"--port", port, "--socket", filepath.Join(dir, "socket"), "--pid-file", filepath.Join(dir, "pid"))
	}, func(address string) error {
		host, port, _ := net.SplitHostPort(address)
		return exec.Command(admin, "--no-defaults", "-h", host, "-P", port, "-u", "root", "ping").Run()
	})
	return "root@tcp(" + address + ")/"
}

// find returns the program's path, also from folders outside PATH. A test that
// needs a server is not skipped where the server is missing: nobody would see.
func find(tb testing.TB, program string, folders ...string) string {
	tb.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, folder := range folders {
		if paths, _ := filepath.Glob(filepath.Join(folder, program)); len(paths) > 0 {
			return paths[len(paths)-1] // the newest version
		}
	}
	tb.Fatalf("%s is not installed: run make deps", program)
	return ""
}

// start runs the server that command makes, as the account where that is needed
// (see become), waits until it is ready and stops it when the test ends.
func start(tb testing.TB, account string, command func(dir, port string) *exec.Cmd, ready func(address string) error) string {
	tb.Helper()
	const attempts = 3 // another process can take the port before the server does
	for attempt := 1; ; attempt++ {
		dir, port := folder(tb, account), freePort(tb)
		var output bytes.Buffer
		cmd := command(dir, port)
		cmd.Stdout, cmd.Stderr = &output, &output
		become(tb, cmd, account)
		at(cmd, dir)
		if err := cmd.Start(); err != nil {
			tb.Fatalf("start %s: %v", cmd.Path, err)
		}
		exited := make(chan struct{})
		go func() {
			_ = cmd.Wait() // why it ended stands in its output
			close(exited)
		}()
		tb.Cleanup(func() { stop(cmd.Process, exited) })

		address := net.JoinHostPort("127.0.0.1", port)
		if await(tb, func() error { return ready(address) }, exited) {
			return address
		}
		if attempt == attempts {
			tb.Fatalf("%s ended:\n%s", cmd.Path, output.String())
		}
	}
}

// await reports whether the server became ready, and not ended.
func await(tb testing.TB, ready func() error, exited <-chan struct{}) bool {
	tb.Helper()
	deadline := time.After(time.Minute)
	for {
		err := ready()
		if err == nil {
			return true
		}
		select {
		case <-exited:
			return false
		case <-deadline:
			tb.Fatalf("the server is not ready after a minute: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func stop(server *os.Process, exited <-chan struct{}) {
	terminate(server)
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		_ = server.Kill() // it may have ended just now
		<-exited
	}
}

// run runs a program to its end.
func run(tb testing.TB, account, dir, program string, args ...string) {
	tb.Helper()
	cmd := exec.Command(program, args...)
	become(tb, cmd, account)
	at(cmd, dir)
	if output, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, output)
	}
}

// at makes the folder the place for all that the program writes: MariaDB clears
// a shared folder for temporary files, and with it what others have there.
func at(cmd *exec.Cmd, dir string) {
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
}

// folder makes the server's folder. It is not the test's own, which other
// accounts cannot enter.
func folder(tb testing.TB, account string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "server-*") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if account == "" || os.Geteuid() != 0 {
		return dir
	}
	uid, gid := ids(tb, account)
	if err := os.Chown(dir, uid, gid); err != nil {
		tb.Fatal(err)
	}
	return dir
}

func ids(tb testing.TB, account string) (uid, gid int) {
	tb.Helper()
	u, err := user.Lookup(account)
	if err != nil {
		tb.Fatalf("no account for the server: run make deps: %v", err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		tb.Fatal(err)
	}
	gid, err = strconv.Atoi(u.Gid)
	if err != nil {
		tb.Fatal(err)
	}
	return uid, gid
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// talk sends a line and expects an answer that begins with want.
func talk(address, line, want string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(line)); err != nil {
		return err
	}
	answer := make([]byte, len(want))
	if _, err := conn.Read(answer); err != nil {
		return err
	}
	if string(answer) != want {
		return fmt.Errorf("answered %q", answer)
	}
	return nil
}
