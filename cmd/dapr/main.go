// Command dapr is the developer's CLI.
package main

import (
	"context"
	"os"

	"github.com/hyperdapr/dapr/pkg/cmd/root"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/signals"
)

func main() {
	streams := iostreams.System(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv)
	os.Exit(root.Main(context.Background(), os.Args[1:], os.Environ(), streams, signals.Ends()))
}
