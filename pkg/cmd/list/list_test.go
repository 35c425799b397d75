package list

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

func TestList(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	// No system has processes of these numbers: one that lived would be looked at.
	shop := instances.Instance{
		AppID: "shop", PID: 777777777, Started: now.Add(-90 * time.Minute), HTTPPort: 1, GRPCPort: 2, AppPort: 3,
		MetricsEnabled: true, MaxBodySize: 4 << 20, ReadBufferSize: 4 << 10,
		Extended: map[string]string{"cliPID": "555555555", "appPID": "666666666", "appCommand": "node --inspect app.js", "appLogPath": "/a.log"},
	}
	tests := map[string]struct {
		running []instances.Instance
		args    []string
		want    string
	}{
		"nothing":         {nil, nil, "No Dapr instances found.\n"},
		"nothing as JSON": {nil, []string{"-o", "json"}, "[]"},
		"nothing as YAML": {nil, []string{"-o", "yaml"}, "[]\n"},
		"an app": {[]instances.Instance{shop}, nil, `
APP ID  HTTP PORT  GRPC PORT  APP PORT  COMMAND               AGE  CREATED              DAPRD PID  CLI PID    APP PID    APP LOG PATH
shop    1          2          3         node --inspect ap...  1h   2026-01-02 01:34.05  777777777  555555555  666666666  /a.log
`},
		"a sidecar that was started by other means": {[]instances.Instance{{AppID: "lone", PID: 9, Started: now}}, nil, `
APP ID  HTTP PORT  GRPC PORT  APP PORT  AGE  CREATED              DAPRD PID  CLI PID  APP PID
lone    0          0          0         0s   2026-01-02 03:04.05  9          0        0
`},
		"an app as JSON": {[]instances.Instance{shop}, []string{"-o", "json"}, `
[
  {
    "appId": "shop",
    "httpPort": 1,
    "grpcPort": 2,
    "appPort": 3,
    "metricsEnabled": true,
    "command": "node --inspect app.js",
    "age": "1h",
    "created": "2026-01-02 01:34.05",
    "daprdPid": 777777777,
    "cliPid": 555555555,
    "appPid": 666666666,
    "maxRequestBodySize": 4194304,
    "httpReadBufferSize": 4096,
    "runTemplatePath": "",
    "appLogPath": "/a.log",
    "daprdLogPath": "",
    "runTemplateName": ""
  }
]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := standalone.Layout{Root: t.TempDir()}
			for _, i := range tt.running {
				r, err := instances.Register(l.Instances(), i)
				require.NoError(t, err)
				defer r.Close()
			}
			streams, _, out, _ := iostreams.Test()
			f := cmdutil.NewFactory(nil, streams)
			f.Layout = func() (standalone.Layout, error) { return l, nil }
			f.Now = func() time.Time { return now }
			cmd := NewCmdList(f, nil)
			cmd.SetArgs(append([]string{}, tt.args...))
			require.NoError(t, cmd.ExecuteContext(t.Context()))
			require.Equal(t, strings.TrimPrefix(tt.want, "\n"), out.String())
		})
	}
}
