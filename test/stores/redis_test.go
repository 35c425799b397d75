package stores

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/state/statetest"
	"github.com/hyperdapr/dapr/test/servers"
)

func redis(address string) component.Spec {
	return spec("state.redis", "v1", map[string]string{"redisHost": address, "redisPassword": ""})
}

func TestRedis(t *testing.T) {
	t.Parallel()
	s := redis(servers.Redis(t))
	statetest.Run(t, s)
	statetest.RunDurable(t, s)
}

// A server that is down is no etag that does not match: the app would read and
// try again for ever.
func TestRedisIsDown(t *testing.T) {
	t.Parallel()
	var b *state.Block
	t.Run("while it is up", func(up *testing.T) {
		s := redis(servers.Redis(up))
		s.Metadata["redisMaxRetries"] = "-1"
		b = open(t, s)
	})
	err := b.Save(t.Context(), "statestore", []state.SaveRequest{{Key: "k", Condition: state.Condition{ETag: "1"}}})
	var e *apierror.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusInternalServerError, e.HTTP, e.Message)
}

// A strong write is on the replicas when it returns.
func TestRedisReplica(t *testing.T) {
	t.Parallel()
	primary, replica := servers.Redis(t), servers.Redis(t)
	host, port, err := net.SplitHostPort(primary)
	require.NoError(t, err)
	require.Equal(t, "+OK", ask(t, replica, "REPLICAOF "+host+" "+port))
	require.Equal(t, "+OK", ask(t, primary, "SET linked yes"))
	require.Eventually(t, func() bool { return ask(t, replica, "EXISTS linked") == ":1" }, 20*time.Second, 20*time.Millisecond)

	b := open(t, redis(primary))
	for i := range 20 {
		key := fmt.Sprint("k", i)
		err := b.Save(t.Context(), "statestore", []state.SaveRequest{{Key: key, Condition: state.Condition{Consistency: "strong"}}})
		require.NoError(t, err)
		require.Equal(t, ":1", ask(t, replica, "EXISTS app||"+key))
	}
}

// ask sends a command and returns the first line of the answer.
func ask(t *testing.T, address, command string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "%s\r\n", command)
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}
