package components

import (
	"github.com/dapr/components-contrib/secretstores/local/env"
	"github.com/dapr/components-contrib/secretstores/local/file"

	"github.com/hyperdapr/dapr/pkg/secret"
)

func init() {
	secret.Drivers.Register("secretstores.local.env", library(env.NewEnvSecretStore))
	secret.Drivers.Register("secretstores.local.file", library(file.NewLocalSecretStore))
}
