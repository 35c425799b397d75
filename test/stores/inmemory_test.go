package stores

import (
	"testing"

	"github.com/hyperdapr/dapr/pkg/state/statetest"
)

func TestInMemory(t *testing.T) {
	t.Parallel()
	statetest.Run(t, spec("state.in-memory", "v1", nil))
}
