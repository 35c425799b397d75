// Command dapr is the developer's CLI.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hyperdapr/dapr/pkg/cmd/root"
	"github.com/hyperdapr/dapr/pkg/iostreams"
)

func main() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signal.Notify(signals, syscall.SIGHUP)
	}
	streams := iostreams.System(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv)
	os.Exit(root.Main(context.Background(), os.Args[1:], os.Environ(), streams, signals))
}
