package stores

import (
	"testing"

	"github.com/hyperdapr/dapr/pkg/state/statetest"
	"github.com/hyperdapr/dapr/test/servers"
)

func TestRedis(t *testing.T) {
	s := spec("state.redis", "v1", map[string]string{"redisHost": servers.Redis(t), "redisPassword": ""})
	statetest.Run(t, s)
	statetest.RunDurable(t, s)
}
