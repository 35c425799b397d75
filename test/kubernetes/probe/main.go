// Command probe is an app of the cluster's tests: it calls another app without a
// pause, and from inside a pod it tries what must be refused.
//
//	probe wait                         does nothing until it is told to end
//	probe load URL                     calls URL twenty times a second, through the sidecar beside it
//	probe registry ADDRESS             a container registry, which prints what is asked of it
//	probe certificate ID NAMESPACE TOKEN-FILE
//	                                   asks sentry for the certificate of an app
//	probe resources NAMESPACE          asks the operator for the components of a namespace
//	probe actors ID                    tells placement that an app has actors, and keeps telling
//	probe issuer ADDRESS               prints who has signed the certificate of a sidecar
//	probe call AS CLAIM METHOD ADDRESS calls the sidecar of nodeapp and says that it is CLAIM; AS is
//	                                   "itself", "forged", "nobody" or "plaintext"
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, env func(string) string, out io.Writer) error {
	commands := map[string]struct {
		args int
		do   func(context.Context, []string) error
	}{
		"wait":     {0, func(ctx context.Context, _ []string) error { <-ctx.Done(); return nil }},
		"load":     {1, func(ctx context.Context, args []string) error { return load(ctx, args[0], env("DAPR_HTTP_PORT"), out) }},
		"registry": {1, func(ctx context.Context, args []string) error { return serveRegistry(ctx, args[0], out) }},
		"certificate": {3, func(ctx context.Context, args []string) error {
			return certificate(ctx, args[0], args[1], args[2], out)
		}},
		"resources": {1, func(ctx context.Context, args []string) error { return resources(ctx, args[0], out) }},
		"actors":    {1, func(ctx context.Context, args []string) error { return actors(ctx, args[0], out) }},
		"issuer":    {1, func(ctx context.Context, args []string) error { return issuer(ctx, args[0], out) }},
		"call": {4, func(ctx context.Context, args []string) error {
			return call(ctx, args[0], args[1], args[2], args[3], out)
		}},
	}
	if len(args) == 0 {
		return errors.New("say what to do")
	}
	c, known := commands[args[0]]
	if !known || len(args) != c.args+1 {
		return fmt.Errorf("%q with %d arguments is nothing this program can do", args[0], len(args)-1)
	}
	return c.do(ctx, args[1:])
}
