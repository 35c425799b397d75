package stores

import (
	"testing"

	"github.com/hyperdapr/dapr/pkg/state/statetest"
	"github.com/hyperdapr/dapr/test/servers"
)

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := spec("state.postgresql", version, map[string]string{"connectionString": servers.Postgres(t)})
			statetest.Run(t, s)
			statetest.RunDurable(t, s)
		})
	}
}
