package standalone

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// RuntimeVersion asks the installed sidecar for its version. It is "n/a" when
// there is none that answers, and in the zero Layout there is none.
func RuntimeVersion(ctx context.Context, l Layout, env []string) string {
	out, err := ask(ctx, l, env, "--version")
	if err != nil {
		return "n/a"
	}
	return out
}

// RuntimeBuildInfo asks the installed sidecar for what it was built from, a few
// lines of text. It is the version when that is all it tells.
func RuntimeBuildInfo(ctx context.Context, l Layout, env []string) string {
	out, err := ask(ctx, l, env, "--build-info")
	if err != nil {
		return RuntimeVersion(ctx, l, env)
	}
	return out
}

func ask(ctx context.Context, l Layout, env []string, flag string) (string, error) {
	if l == (Layout{}) { // whose program would be one below the current folder
		return "", errors.New("no folder for the runtime")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.Daprd(), flag)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", l.Daprd(), flag, err)
	}
	return strings.TrimSpace(string(out)), nil
}
