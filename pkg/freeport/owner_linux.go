package freeport

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Owner finds the process that listens on the port. It sees the processes of
// other users only when it runs as root.
func Owner(port int) (name string, pid int, ok bool) {
	sockets := make(map[string]bool)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		addListening(sockets, table, port)
	}
	if len(sockets) == 0 {
		return "", 0, false
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return "", 0, false
	}
	for _, fd := range fds {
		link, err := os.Readlink(fd)
		if err != nil || !sockets[link] {
			continue
		}
		proc := filepath.Dir(filepath.Dir(fd))
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(proc, "comm"))
		if err != nil {
			continue
		}
		return strings.TrimSpace(string(comm)), pid, true
	}
	return "", 0, false
}

// addListening adds the port's listening sockets, named as /proc/PID/fd links
// name them, from one of the kernel's tables: the second column is the local
// address, the fourth the state, the tenth the inode.
func addListening(sockets map[string]bool, table string, port int) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	suffix := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		col := strings.Fields(lines.Text())
		if len(col) > 9 && col[3] == listening && strings.HasSuffix(col[1], suffix) {
			sockets["socket:["+col[9]+"]"] = true
		}
	}
}
