package daprd

import (
	"os/exec"
	"syscall"
)

// endWithParent ends the process with the test, however that ends.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
