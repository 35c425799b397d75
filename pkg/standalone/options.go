package standalone

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/quantity"
	"github.com/hyperdapr/dapr/pkg/resource"
)

// RunOptions say what to run and how. Ports of 0 or less are chosen by the
// system.
type RunOptions struct {
	// Layout is the runtime folder. Required.
	Layout Layout
	// Daprd is the sidecar's program. Required.
	Daprd string
	// Keeper is the command of the process that ends the run when this one is
	// killed: it calls Keep with its standard input. Required, but not used on
	// Windows.
	Keeper []string
	// Env is the environment of both programs, in the form of os.Environ.
	Env []string
	// Command is the app; empty runs a sidecar alone.
	Command []string
	// Grace is how long the end of the run may take; 0 means DefaultGrace.
	Grace time.Duration

	// AppID is made up when it is empty.
	AppID string
	// AppPort of 0 or less means that the app takes no calls.
	AppPort           int
	AppProtocol       string
	AppChannelAddress string
	AppMaxConcurrency int
	AppSSL            bool

	EnableAppHealthCheck bool
	AppHealthCheckPath   string
	// AppHealthProbeInterval is in seconds, AppHealthProbeTimeout in
	// milliseconds; the sidecar has defaults for 0.
	AppHealthProbeInterval int
	AppHealthProbeTimeout  int
	AppHealthThreshold     int

	HTTPPort         int
	GRPCPort         int
	InternalGRPCPort int
	MetricsPort      int
	ProfilePort      int
	EnableProfiling  bool
	// ListenAddresses is a list separated by commas.
	ListenAddresses string
	// UnixDomainSocket is the folder of the API's sockets, which then take the
	// place of the HTTP and gRPC ports.
	UnixDomainSocket string

	// Config is the Configuration's file; empty means the layout's, if it exists.
	Config string
	// ResourcesPaths are folders; none means the layout's.
	ResourcesPaths []string
	// PlacementHostAddress and SchedulerHostAddress are left out when empty.
	PlacementHostAddress string
	SchedulerHostAddress string

	// MaxBodySize and ReadBufferSize are sizes such as 4Mi.
	MaxBodySize      string
	ReadBufferSize   string
	LogLevel         string
	LogAsJSON        bool
	EnableAPILogging bool
}

var (
	appProtocols = []string{"grpc", "grpcs", "http", "https", "h2c"}
	logLevels    = []string{"debug", "info", "warn", "error", "fatal"}
)

// AppProtocols are what an app can speak.
func AppProtocols() []string { return slices.Clone(appProtocols) }

// LogLevels are the sidecar's, the most talkative first.
func LogLevels() []string { return slices.Clone(logLevels) }

// complete fills in what was left open and names the first option that is
// wrong, as the command's flags are named.
func (o *RunOptions) complete() error {
	if o.Layout.Root == "" || o.Daprd == "" || len(o.Keeper) == 0 {
		return errors.New("layout, daprd and keeper are required")
	}
	if o.AppID == "" {
		return errors.New("--app-id is empty: give the app an id, such as --app-id orders")
	}
	if i := strings.IndexAny(o.AppID, "./\\|# ?*:@\"<>"); i >= 0 {
		return fmt.Errorf("--app-id %q must not contain %q: use letters, digits and dashes", o.AppID, o.AppID[i])
	}
	o.AppPort = max(o.AppPort, 0)
	o.AppProtocol = strings.ToLower(o.AppProtocol)
	if err := oneOf("--app-protocol", &o.AppProtocol, "http", appProtocols); err != nil {
		return err
	}
	if err := oneOf("--log-level", &o.LogLevel, "info", logLevels); err != nil {
		return err
	}
	for _, size := range []struct{ flag, value string }{
		{"--max-body-size", o.MaxBodySize}, {"--read-buffer-size", o.ReadBufferSize},
	} {
		if size.value == "" {
			continue
		}
		if _, err := quantity.Parse(size.value); err != nil {
			return fmt.Errorf("%s: %w", size.flag, err)
		}
	}
	if o.EnableAppHealthCheck && o.AppPort == 0 {
		return errors.New("--enable-app-health-check needs --app-port: without it there is no app to probe")
	}
	if err := o.distinctPorts(); err != nil {
		return err
	}
	if len(o.Command) > 0 {
		if _, err := exec.LookPath(o.Command[0]); err != nil {
			return notFound(o.Command[0], err)
		}
	}
	return o.completeFiles()
}

// notFound says why an app's command cannot be started. Windows looks into the
// present folder too, where whoever could write a file would be started instead
// of the program that is meant.
func notFound(command string, err error) error {
	if errors.Is(err, exec.ErrDot) {
		return fmt.Errorf("the app's command %q is in this folder and not in the PATH: give it as %s", command, "."+string(filepath.Separator)+command)
	}
	return fmt.Errorf("the app's command %q is not found: %w", command, errors.Unwrap(err))
}

func oneOf(flag string, value *string, fallback string, known []string) error {
	if *value == "" {
		*value = fallback
	}
	if slices.Contains(known, *value) {
		return nil
	}
	hint := "use " + strings.Join(known, ", ")
	if n := nearest.Name(*value, known); n != "" {
		hint = fmt.Sprintf("did you mean %s? (%s)", n, hint)
	}
	return fmt.Errorf("%s %q is not known: %s", flag, *value, hint)
}

func (o *RunOptions) distinctPorts() error {
	taken := make(map[int]string)
	for _, p := range []struct {
		flag string
		port int
	}{
		{"--app-port", o.AppPort},
		{"--dapr-http-port", o.HTTPPort},
		{"--dapr-grpc-port", o.GRPCPort},
		{"--dapr-internal-grpc-port", o.InternalGRPCPort},
		{"--metrics-port", o.MetricsPort},
		{"--profile-port", o.ProfilePort},
	} {
		if p.port <= 0 {
			continue
		}
		if p.port > 65535 {
			return fmt.Errorf("%s %d is out of range: use a port from 1 to 65535", p.flag, p.port)
		}
		if other, ok := taken[p.port]; ok {
			return fmt.Errorf("%s and %s are both %d: give each its own port", other, p.flag, p.port)
		}
		taken[p.port] = p.flag
	}
	return nil
}

// completeFiles finds the Configuration and the resources. Mistakes in them are
// told before anything starts.
func (o *RunOptions) completeFiles() error {
	if o.Config != "" {
		if _, err := os.Stat(o.Config); err != nil {
			return fmt.Errorf("--config: %w", err)
		}
	} else if exists(o.Layout.Config()) {
		o.Config = o.Layout.Config()
	}
	if len(o.ResourcesPaths) == 0 && exists(o.Layout.Components()) {
		o.ResourcesPaths = []string{o.Layout.Components()}
	}
	if _, err := resource.LoadFolders(o.ResourcesPaths, resource.Filter{AppID: o.AppID}); err != nil {
		return fmt.Errorf("--resources-path: %w", err)
	}
	return nil
}
