package servers

import (
	"os/exec"
	"syscall"
	"testing"
)

// become makes cmd run as the account when the test runs as root, which
// database servers refuse, and end with the test process, however that ends.
func become(tb testing.TB, cmd *exec.Cmd, account string) {
	tb.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if account == "" || syscall.Geteuid() != 0 {
		return
	}
	uid, gid := ids(tb, account)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
