package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

const mebibyte = 1 << 20

// checkDisk looks for room for the programs and the apps' state.
func checkDisk(_ context.Context, m *Machine) ([]Finding, error) {
	const (
		needed  = 200 * mebibyte // the programs, twice while they are exchanged
		comfort = 1024 * mebibyte
	)
	// The folder may be yet to be made.
	where := m.Layout.Root
	if _, err := os.Stat(where); err != nil {
		where = nearestFolder(where)
	}
	free, err := m.DiskFree(where)
	if err != nil {
		return nil, fmt.Errorf("free space at %s: %w", where, err)
	}
	text := fmt.Sprintf("%s free at %s", size(free), where)
	switch {
	case free < needed:
		return []Finding{fault("only %s", text).
			because("an upgrade needs " + size(needed) + ", and apps cannot save their state").mend("make room, or choose another disk with --runtime-path")}, nil
	case free < comfort:
		return []Finding{warn("only %s", text).mend("make room, or choose another disk with --runtime-path")}, nil
	}
	return []Finding{okay("%s", text)}, nil
}

// size is a number of bytes for people.
func size(bytes uint64) string {
	if bytes < 1024*mebibyte {
		return fmt.Sprintf("%.1f MiB", float64(bytes)/mebibyte)
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1024*mebibyte))
}

// checkClock compares the clock with what it must be later than.
func checkClock(_ context.Context, m *Machine) ([]Finding, error) {
	now := m.Now()
	const tolerance = 5 * time.Minute
	for _, file := range []string{m.Layout.Inventory(), m.Layout.Daprd()} {
		if info, err := os.Stat(file); err == nil && info.ModTime().Sub(now) > tolerance {
			return []Finding{fault("the clock says %s, but %s is of %s", now.Format(time.DateTime), file, info.ModTime().Format(time.DateTime)).
				because("certificates and expiry times go by the clock").mend("set the clock, such as with \"timedatectl set-ntp true\"")}, nil
		}
	}
	if earliest := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC); now.Before(earliest) {
		return []Finding{fault("the clock says %s, which is long ago", now.Format(time.DateTime)).
			because("certificates and expiry times go by the clock").mend("set the clock, such as with \"timedatectl set-ntp true\"")}, nil
	}
	return []Finding{okay("the clock says %s", now.UTC().Format(time.RFC3339))}, nil
}

// checkLoopback has two sockets of this machine talk to each other, as an app
// and its sidecar do.
func checkLoopback(ctx context.Context, m *Machine) ([]Finding, error) {
	if err := m.echo(ctx); err != nil {
		return []Finding{fault("no connection over 127.0.0.1: %v", err).
			because("apps and sidecars talk over it").mend("bring the interface up, such as with \"ip link set lo up\", and let the firewall pass it")}, nil
	}
	addresses, err := m.Resolve(ctx, "localhost")
	if err != nil {
		addresses = nil // a name that is not known means nothing
	}
	if !slices.Contains(addresses, "127.0.0.1") {
		return []Finding{warn("the name localhost means %s, not 127.0.0.1", nothingOr(addresses)).
			because("apps that call their sidecar at localhost do not reach it").mend("add the line \"127.0.0.1 localhost\" to the hosts file")}, nil
	}
	return []Finding{okay("127.0.0.1 is reachable, and localhost means it")}, nil
}

func nothingOr(addresses []string) string {
	if len(addresses) == 0 {
		return "nothing"
	}
	return few(addresses)
}

// echo sends a word over the loopback interface.
func (m *Machine) echo(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	const word = "dapr"
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return // it was closed: the other side says why
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, word) // the other side sees what is missing
	}()
	conn, err := m.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err == nil && string(got) != word {
		err = fmt.Errorf("%q came as %q", word, got)
	}
	return err
}

// checkProxy looks for proxies that would catch calls to a sidecar.
func checkProxy(_ context.Context, m *Machine) ([]Finding, error) {
	var proxies []string
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		if m.Getenv(name) != "" {
			proxies = append(proxies, name)
		}
	}
	if len(proxies) == 0 {
		return []Finding{okay("no proxy is set for plain HTTP")}, nil
	}
	exceptions := m.Getenv("NO_PROXY") + "," + m.Getenv("no_proxy")
	var caught []string
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if !exempt(host, exceptions) {
			caught = append(caught, host)
		}
	}
	if len(caught) == 0 {
		return []Finding{okay("%s is set, and NO_PROXY leaves localhost out", few(proxies))}, nil
	}
	return []Finding{warn("%s is set, and NO_PROXY does not leave out %s", few(proxies), few(caught)).
		because("many clients send an app's calls to its sidecar to the proxy").
		mend("export NO_PROXY=localhost,127.0.0.1,::1")}, nil
}

// exempt tells whether a list of NO_PROXY has a host.
func exempt(host, list string) bool {
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "*" || strings.EqualFold(strings.TrimPrefix(entry, "."), host) {
			return true
		}
		if _, network, err := net.ParseCIDR(entry); err == nil && network.Contains(net.ParseIP(host)) {
			return true
		}
	}
	return false
}

// checkLogs looks at the logs of runs that are over, which nobody removes.
func checkLogs(_ context.Context, m *Machine) ([]Finding, error) {
	const (
		month = 30 * 24 * time.Hour
		much  = 512 * mebibyte
	)
	entries, err := os.ReadDir(m.Layout.Logs())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var total uint64
	var files, old int
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone meanwhile, or not ours
		}
		files++
		total += uint64(info.Size())
		if m.Now().Sub(info.ModTime()) > month {
			old++
		}
	}
	text := fmt.Sprintf("%s of runs in %s, %s", count(files, "log"), m.Layout.Logs(), size(total))
	if old == 0 && total < much {
		return []Finding{okay("%s", text)}, nil
	}
	level := Info
	if total >= much {
		level = Warning
	}
	return []Finding{finding(level, "%s; %d of them not written to for a month", []any{text, old}).
		because("nothing removes them by itself").
		mend("find %s -name '*.log' -mtime +30 -delete", m.Layout.Logs())}, nil
}
