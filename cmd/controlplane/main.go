// Command controlplane is every control plane service: one role a process,
// chosen by the first argument or by the name the program is started under.
package main

import (
	"context"
	"os"

	"github.com/hyperdapr/dapr/pkg/service"
)

func main() {
	err := run(context.Background(), os.Args, os.LookupEnv, os.Stdout, os.Stderr)
	os.Exit(service.ExitCode(err))
}
