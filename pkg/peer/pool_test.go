package peer

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

func TestADroppedConnectionServesItsCallsAndNoOthers(t *testing.T) {
	dialled := 0
	p := pool{dial: func(t Target) (*grpc.ClientConn, error) {
		dialled++
		return grpc.NewClient(t.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}}
	defer p.close()
	target := Target{Address: "127.0.0.1:1", AppID: "a"}
	old, err := p.get(target)
	require.NoError(t, err)
	p.drop(target)
	require.NotEqual(t, connectivity.Shutdown, old.GetState(), "a call still uses it")

	now, err := p.get(target)
	require.NoError(t, err)
	require.NotSame(t, old, now)
	require.Equal(t, 2, dialled)
	old.release()
	require.Equal(t, connectivity.Shutdown, old.GetState())
	require.NotEqual(t, connectivity.Shutdown, now.GetState())
	now.release()
	p.drop(target)
	require.Equal(t, connectivity.Shutdown, now.GetState())
	p.drop(target) // nothing is there
}
