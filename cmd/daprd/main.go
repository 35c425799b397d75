// Command daprd is the sidecar.
package main

import (
	"context"
	"os"

	"github.com/hyperdapr/dapr/pkg/sidecar"
)

func main() {
	err := sidecar.Main(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	os.Exit(sidecar.ExitCode(err))
}
