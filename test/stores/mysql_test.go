package stores

import (
	"testing"

	"github.com/hyperdapr/dapr/pkg/state/statetest"
	"github.com/hyperdapr/dapr/test/servers"
)

func TestMySQL(t *testing.T) {
	t.Parallel()
	s := spec("state.mysql", "v1", map[string]string{"connectionString": servers.MySQL(t)})
	statetest.Run(t, s)
	statetest.RunDurable(t, s)
}
