package components

import (
	inmemory "github.com/dapr/components-contrib/state/in-memory"
	postgresqlv1 "github.com/dapr/components-contrib/state/postgresql/v1"
	postgresqlv2 "github.com/dapr/components-contrib/state/postgresql/v2"

	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/state/mysql"
	"github.com/hyperdapr/dapr/pkg/state/redis"
	"github.com/hyperdapr/dapr/pkg/state/sqlite"
)

func init() {
	state.Drivers.Register("state.in-memory", library(inmemory.NewInMemoryStateStore))
	state.Drivers.Register("state.mysql", library(mysql.New))
	state.Drivers.Register("state.postgres", library(postgresqlv1.NewPostgreSQLStateStore))
	state.Drivers.Register("state.postgres", library(postgresqlv2.NewPostgreSQLStateStore), "v2")
	state.Drivers.Register("state.postgresql", library(postgresqlv1.NewPostgreSQLStateStore))
	state.Drivers.Register("state.postgresql", library(postgresqlv2.NewPostgreSQLStateStore), "v2")
	state.Drivers.Register("state.redis", library(redis.New))
	state.Drivers.Register("state.sqlite", library(sqlite.New))
}
