// Command dapr is the developer's CLI.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/hyperdapr/dapr/pkg/cmd/root"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/signals"
)

func main() {
	// Parts of Helm's library log here, whatever logger they are given.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	streams := iostreams.System(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv)
	os.Exit(root.Main(context.Background(), os.Args[1:], os.Environ(), streams, signals.Ends()))
}
