package components

import (
	"github.com/dapr/components-contrib/secretstores/local/env"
	"github.com/dapr/components-contrib/secretstores/local/file"

	"github.com/hyperdapr/dapr/pkg/secret"
	"github.com/hyperdapr/dapr/pkg/secret/kubernetes"
)

func init() {
	secret.Drivers.Register("secretstores.kubernetes", kubernetes.New)
	secret.Drivers.Register("secretstores.local.env", library(env.NewEnvSecretStore))
	secret.Drivers.Register("secretstores.local.file", library(file.NewLocalSecretStore))
}
