package servers_test

import (
	"testing"

	"github.com/hyperdapr/dapr/test/servers"
)

// A starter returns only when its server answers; starting two of a kind shows
// that they share neither port nor folder.
func TestServersStart(t *testing.T) {
	for name, start := range map[string]func(testing.TB) string{
		"redis": servers.Redis, "postgres": servers.Postgres, "mysql": servers.MySQL,
	} {
		t.Run(name, func(t *testing.T) {
			first, second := start(t), start(t)
			if first == second {
				t.Fatalf("both servers are at %s", first)
			}
		})
	}
}
