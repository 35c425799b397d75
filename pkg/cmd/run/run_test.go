package run

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

func TestFlags(t *testing.T) {
	defaults := standalone.RunOptions{
		AppPort: -1, AppProtocol: "http", AppChannelAddress: "127.0.0.1", AppMaxConcurrency: -1,
		HTTPPort: -1, GRPCPort: -1, InternalGRPCPort: -1, MetricsPort: -1, ProfilePort: -1,
		MaxBodySize: "4Mi", ReadBufferSize: "4Ki", LogLevel: "info",
		Command: []string{}, Env: []string{"A=1"},
	}
	tests := map[string]struct {
		args     []string
		want     func(*standalone.RunOptions)
		warnings []string
	}{
		"none": {nil, func(*standalone.RunOptions) {}, nil},
		"the app's own flags come after --": {
			[]string{"-a", "shop", "-p", "3000", "--", "node", "app.js", "-p", "1"},
			func(o *standalone.RunOptions) {
				o.AppID, o.AppPort, o.Command = "shop", 3000, []string{"node", "app.js", "-p", "1"}
			},
			nil,
		},
		"shorthands": {
			[]string{"-H", "1", "-G", "2", "-I", "3", "-M", "4", "-P", "grpc", "-c", "c.yaml", "-u", "s"},
			func(o *standalone.RunOptions) {
				o.HTTPPort, o.GRPCPort, o.InternalGRPCPort, o.MetricsPort = 1, 2, 3, 4
				o.AppProtocol, o.Config, o.UnixDomainSocket = "grpc", "c.yaml", "s"
			},
			nil,
		},
		"folders of resources, repeated and listed": {
			[]string{"--resources-path", "a,b", "--resources-path", "c"},
			func(o *standalone.RunOptions) { o.ResourcesPaths = []string{"a", "b", "c"} },
			nil,
		},
		"the old name of it": {
			[]string{"-d", "old"},
			func(o *standalone.RunOptions) { o.ResourcesPaths = []string{"old"} },
			[]string{"--components-path is deprecated: use --resources-path"},
		},
		"the old name gives way": {
			[]string{"-d", "old", "--resources-path", "new"},
			func(o *standalone.RunOptions) { o.ResourcesPaths = []string{"new"} },
			[]string{"--components-path is deprecated: use --resources-path"},
		},
		"TLS to the app": {
			[]string{"--app-ssl"},
			func(o *standalone.RunOptions) { o.AppSSL = true },
			[]string{"--app-ssl is deprecated: use --app-protocol https or grpcs"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			streams, _, _, _ := iostreams.Test()
			var got *runOptions
			cmd := NewCmdRun(cmdutil.NewFactory(cmdutil.Env{"A=1"}, streams), func(_ context.Context, o *runOptions) error {
				got = o
				return nil
			})
			cmd.SetArgs(append([]string{}, tt.args...))
			require.NoError(t, cmd.ExecuteContext(t.Context()))
			want := defaults
			tt.want(&want)
			require.Equal(t, want, got.run)
			require.Equal(t, tt.warnings, got.warnings)
		})
	}
}
