// Package sidecar is the process beside an app: it reads the resources, opens
// the components, serves the HTTP and gRPC APIs over the building blocks and
// connects the app. It is the only package that knows every block.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hyperdapr/dapr/pkg/signals"
	"github.com/hyperdapr/dapr/pkg/telemetry"
	"github.com/hyperdapr/dapr/pkg/version"
)

// Main is the whole program: it reads the arguments and runs until a signal or
// an error. What it returns is already printed; ExitCode makes it a code.
func Main(ctx context.Context, args []string, env LookupEnv, stdout, stderr io.Writer) error {
	o, err := ParseOptions(args, env)
	var help *helpRequest
	switch {
	case errors.As(err, &help):
		_, err := fmt.Fprint(stdout, "daprd is the sidecar of one app.\n\nUsage:\n  daprd --app-id ID [flags]\n\nFlags:\n"+help.usage)
		return err
	case err != nil:
		fmt.Fprintln(stderr, "daprd:", err)
		return err
	case o.Version:
		_, err := fmt.Fprintln(stdout, version.Version())
		return err
	case o.BuildInfo:
		_, err := fmt.Fprintf(stdout, "Version: %s\nGit Commit: %s\nGit Version: %s\n", version.Version(), version.Commit(), version.GitVersion())
		return err
	case o.Wait:
		if err := waitOutbound(ctx, o.HTTPPort); err != nil {
			fmt.Fprintln(stderr, "daprd:", err)
			return err
		}
		return nil
	}

	log := telemetry.NewLogger(stdout, telemetry.LogOptions{
		Level: o.LogLevel, JSON: o.LogAsJSON, AppID: o.AppID, Version: version.Version(),
	})
	sig, stop := signals.Notify(ctx)
	defer stop()
	err = run(sig, o, env, log)
	if err != nil {
		telemetry.Fatal(telemetry.Scope(log, scopeRuntime), err.Error())
	}
	return err
}

// ExitCode is 0 without an error, 2 for a command line that cannot be
// understood and 1 for everything else.
func ExitCode(err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return 2
	}
	return 1
}
