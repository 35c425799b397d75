package cmdutil

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// given is what the command of these tests was given.
type given struct {
	logLevel    string
	appPort     int
	metricsPort int
	daprHTTP    int
	paths       []string
	asJSON      bool
	changed     bool // --log-level
}

// bound runs "dapr run" with arguments, an environment and a file.
func bound(t *testing.T, args []string, env Env, file string) (given, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cli.yaml")
	if file != "" {
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	}
	var g given
	root := &cobra.Command{
		Use: "dapr", SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return BindFlags(cmd, env, func() (string, error) { return path, nil })
		},
	}
	root.PersistentFlags().BoolVar(&g.asJSON, "log-as-json", false, "")
	root.PersistentFlags().String("runtime-path", "", "")
	run := &cobra.Command{Use: "run", RunE: func(cmd *cobra.Command, _ []string) error {
		g.changed = cmd.Flags().Changed("log-level")
		return nil
	}}
	run.Flags().StringVar(&g.logLevel, "log-level", "info", "")
	run.Flags().IntVar(&g.appPort, "app-port", -1, "")
	run.Flags().IntVar(&g.metricsPort, "metrics-port", -1, "")
	run.Flags().IntVar(&g.daprHTTP, "dapr-http-port", -1, "")
	run.Flags().StringSliceVar(&g.paths, "resources-path", nil, "")
	stop := &cobra.Command{Use: "stop", RunE: run.RunE}
	stop.Flags().String("app-id", "", "")
	require.NoError(t, stop.MarkFlagRequired("app-id"))
	root.AddCommand(run, stop)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return g, err
}

func TestAFlagGoesBeforeTheEnvironmentAndThatBeforeTheFile(t *testing.T) {
	const file = "log-level: fromfile\n"
	tests := map[string]struct {
		args []string
		env  Env
		file string
		want string
	}{
		"default":                          {want: "info"},
		"file":                             {file: file, want: "fromfile"},
		"file, below the command":          {file: "log-level: general\nrun:\n  log-level: fromrun\n", want: "fromrun"},
		"file, below another command":      {file: "stop:\n  app-id: x\n", want: "info"},
		"environment before file":          {env: Env{"DAPR_LOG_LEVEL=fromenv"}, file: file, want: "fromenv"},
		"flag before environment":          {args: []string{"--log-level", "fromflag"}, env: Env{"DAPR_LOG_LEVEL=fromenv"}, file: file, want: "fromflag"},
		"flag with the default's value":    {args: []string{"--log-level", "info"}, env: Env{"DAPR_LOG_LEVEL=fromenv"}, want: "info"},
		"an empty variable does not count": {env: Env{"DAPR_LOG_LEVEL=", "DAPR_APP_PORT="}, file: file, want: "fromfile"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := bound(t, append([]string{"run"}, tt.args...), tt.env, tt.file)
			require.NoError(t, err)
			require.Equal(t, tt.want, got.logLevel)
			require.Equal(t, name != "default" && name != "file, below another command", got.changed)
		})
	}
}

func TestWhatTheRuntimeGivesToAppsSetsNoFlag(t *testing.T) {
	// The environment of an app that runs "dapr run" itself.
	env := Env{"DAPR_HTTP_PORT=3500", "DAPR_GRPC_PORT=50001", "DAPR_METRICS_PORT=9090", "APP_PORT=3000", "DAPR_API_TOKEN=secret"}
	got, err := bound(t, []string{"run"}, env, "")
	require.NoError(t, err)
	require.Equal(t, given{logLevel: "info", appPort: -1, metricsPort: -1, daprHTTP: -1}, got)

	got, err = bound(t, []string{"run"}, Env{"DAPR_DAPR_HTTP_PORT=3501"}, "run:\n  metrics-port: 9091\n")
	require.NoError(t, err)
	require.Equal(t, 3501, got.daprHTTP)
	require.Equal(t, 9091, got.metricsPort)
}

func TestAFlagForTheCommandLineOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cli.yaml")
	require.NoError(t, os.WriteFile(path, []byte("log-as-json: true\n"), 0o600))
	for given, args := range map[string][]string{"false": nil, "true": {"--log-as-json"}} {
		root, cmd := &cobra.Command{Use: "dapr"}, &cobra.Command{Use: "annotate", Run: func(*cobra.Command, []string) {}}
		root.AddCommand(cmd)
		root.PersistentFlags().Bool("log-as-json", false, "")
		cmd.Flags().Bool("log-as-json", false, "")
		CommandLineOnly(cmd.Flags(), "log-as-json")
		require.NoError(t, cmd.ParseFlags(args))
		require.NoError(t, BindFlags(cmd, Env{"DAPR_LOG_AS_JSON=true"}, func() (string, error) { return path, nil }))
		flag := cmd.Flags().Lookup("log-as-json")
		require.Equal(t, given, flag.Value.String())
		require.Empty(t, EnvName(flag))
	}
}

func TestKindsOfValues(t *testing.T) {
	got, err := bound(t, []string{"run"}, nil, "log-as-json: true\napp-port: 3000\nresources-path: [a, \"b,c\"]\n")
	require.NoError(t, err)
	require.True(t, got.asJSON)
	require.Equal(t, 3000, got.appPort)
	require.Equal(t, []string{"a", "b,c"}, got.paths)

	got, err = bound(t, []string{"run"}, Env{"DAPR_RESOURCES_PATH=a,b", "DAPR_LOG_AS_JSON=true"}, "")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, got.paths)
	require.True(t, got.asJSON)
}

func TestARequiredFlagMayComeFromTheEnvironment(t *testing.T) {
	_, err := bound(t, []string{"stop"}, nil, "")
	require.Error(t, err)
	_, err = bound(t, []string{"stop"}, Env{"DAPR_APP_ID=x"}, "")
	require.NoError(t, err)
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	tests := map[string]struct {
		env  Env
		file string
		want []string
	}{
		"value in the environment": {env: Env{"DAPR_APP_PORT=many"}, want: []string{"environment variable DAPR_APP_PORT", "many"}},
		"value in the file":        {file: "run:\n  app-port: many\n", want: []string{"cli.yaml: run.app-port", "many"}},
		"list for a single value":  {file: "app-port: [1]\n", want: []string{"cli.yaml: app-port", "takes no value of this kind"}},
		"unknown flag":             {file: "run:\n  app-prot: 1\n", want: []string{"run.app-prot", `did you mean "app-port"?`}},
		"unknown command":          {file: "rnu:\n  app-port: 1\n", want: []string{"rnu", `did you mean "run"?`}},
		"another command's flag":   {file: "stop:\n  app-port: 1\n", want: []string{"stop.app-port: no flag"}},
		"the file's own place":     {file: "runtime-path: /x\n", want: []string{"DAPR_RUNTIME_PATH"}},
		"not YAML":                 {file: "run: [\n", want: []string{"cli.yaml"}},
		"two mistakes, both named": {file: "a-b-c: 1\nx-y-z: 1\n", want: []string{"a-b-c", "x-y-z"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := bound(t, []string{"run"}, tt.env, tt.file)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}
