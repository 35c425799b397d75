//go:build !linux

package servers

import (
	"os/exec"
	"testing"
)

// become does nothing where tests do not run as root.
func become(testing.TB, *exec.Cmd, string) {}
