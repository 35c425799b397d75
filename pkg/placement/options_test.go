package placement

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/service"
)

func environment(values map[string]string) service.LookupEnv {
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

func parse(t *testing.T, env map[string]string, args ...string) (*options, error) {
	t.Helper()
	fs := pflag.NewFlagSet("placement", pflag.ContinueOnError)
	options := defineFlags(fs, environment(env))
	require.NoError(t, fs.Parse(args))
	return options()
}

func TestDefaults(t *testing.T) {
	o, err := parse(t, nil)
	require.NoError(t, err)
	require.True(t, o.alone())
	require.Equal(t, &options{
		id:    "dapr-placement-0",
		peers: []raft.Server{{Suffrage: raft.Voter, ID: "dapr-placement-0", Address: "127.0.0.1:8201"}},
		port:  50005, namespace: "default", trustDomain: "localhost",
		anchorsFile: "/var/run/secrets/dapr.io/tls/ca.crt", sentryAddress: "dapr-sentry.default.svc:443",
		replication: 100, keepaliveTime: 2 * time.Second, keepaliveTimeout: 3 * time.Second, disseminateTimeout: 8 * time.Second,
	}, o)
}

func TestOptions(t *testing.T) {
	o, err := parse(t, map[string]string{"NAMESPACE": "dapr-system", metadataVariable: "true"},
		"--id=p-1", "--initial-cluster=p-0=p-0.svc:8201, p-1=p-1.svc:8201,p-2=[::1]:8201", "--inmem-store-enabled=false", "--raft-logstore-path=/log",
		"--mode=kubernetes", "--tls-enabled", "--max-api-level=10", "--min-api-level=0")
	require.NoError(t, err)
	self, ok := o.self()
	require.True(t, ok)
	require.Equal(t, raft.ServerAddress("p-1.svc:8201"), self.Address)
	require.Len(t, o.peers, 3)
	require.False(t, o.alone())
	require.True(t, o.metadata && o.kubernetes && o.tls)
	require.Equal(t, "/log", o.logPath)
	require.Equal(t, "dapr-sentry.dapr-system.svc:443", o.sentryAddress)

	o, err = parse(t, map[string]string{metadataVariable: "true"}, "--metadata-enabled=false", "--raft-logstore-path=/log")
	require.NoError(t, err)
	require.False(t, o.metadata, "the flag is stronger")
	require.Empty(t, o.logPath, "the log is in memory")
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, []string{"--mode=cloud"}, `--mode "cloud": use standalone or kubernetes`},
		{nil, []string{"--mode=kubernetes", "--tls-enabled"}, "environment variable NAMESPACE is missing: give it the control plane's namespace, such as dapr-system"},
		{nil, []string{"--inmem-store-enabled=false"}, "--raft-logstore-path is missing: name a folder, or leave --inmem-store-enabled on"},
		{map[string]string{metadataVariable: "maybe"}, nil, `environment variable DAPR_PLACEMENT_METADATA_ENABLED is "maybe": use true or false`},
		{nil, []string{"--id=x"}, `--id "x" is none of the replicas in --initial-cluster: add x=HOST:PORT there, or use one of its names`},
		{nil, []string{"--initial-cluster=p"}, `--initial-cluster "p": "p" is not of the form NAME=HOST:PORT`},
		{nil, []string{"--initial-cluster=p=h:0"}, `--initial-cluster "p=h:0": "p=h:0" is not of the form NAME=HOST:PORT`},
		{nil, []string{"--initial-cluster=a=h:1,b=h:1"}, `--initial-cluster "a=h:1,b=h:1": "b=h:1" repeats the name or the address of a=h:1`},
		{nil, []string{"--keepalive-time=11s"}, "--keepalive-time 11s: use 1s to 10s"},
		{nil, []string{"--keepalive-timeout=0s"}, "--keepalive-timeout 0s: use 1s to 10s"},
		{nil, []string{"--disseminate-timeout=0s"}, "--disseminate-timeout 0s: use 1ms to 1h0m0s"},
		{nil, []string{"--disseminate-coalesce-window=-1s"}, "--disseminate-coalesce-window -1s: use 0s to 1h0m0s"},
		{nil, []string{"--replicationFactor=0"}, "--replicationFactor 0: use 1 to 10000"},
	} {
		t.Run(c.want, func(t *testing.T) {
			_, err := parse(t, c.env, c.args...)
			require.EqualError(t, err, c.want)
			require.Equal(t, 2, service.ExitCode(err))
		})
	}
}
