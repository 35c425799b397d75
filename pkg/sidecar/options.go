package sidecar

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/quantity"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Modes of a sidecar.
const (
	ModeStandalone = "standalone"
	ModeKubernetes = "kubernetes"
)

// LookupEnv reads one environment variable, as os.LookupEnv does.
type LookupEnv func(name string) (string, bool)

func (l LookupEnv) get(name string) string {
	v, _ := l(name)
	return v
}

// Options are what a sidecar's flags and environment say. ParseOptions fills
// the defaults; the field comments give units and the meaning of zero.
type Options struct {
	AppID string
	// Mode is ModeStandalone or ModeKubernetes.
	Mode string
	// Namespace is where the app lives; empty outside Kubernetes.
	Namespace string

	// AppPort is 0 when the app takes no calls.
	AppPort           int
	AppProtocol       string // http, https, h2c, grpc, grpcs
	AppChannelAddress string
	// AppMaxConcurrency is the number of calls to the app at one time; below 1
	// means no limit.
	AppMaxConcurrency int
	AppAPIToken       string

	HTTPPort          int
	GRPCPort          int
	ListenAddresses   []string
	InternalPort      int // 0 picks a free one
	InternalAddress   string
	PublicPort        int // 0 means no public server
	PublicAddress     string
	MetricsPort       int
	MetricsAddress    string
	EnableMetrics     bool
	EnableProfiling   bool
	ProfilePort       int
	UnixDomainSocket  string // folder; when set, the API listens there and not on ports
	APIToken          string
	AllowedOrigins    string
	MaxBodySize       int64 // bytes; -1 means no limit
	ReadBufferSize    int64 // bytes
	DisableH2C        bool
	EnableAPILogging  *bool // nil: the Configuration decides
	ResourcesPaths    []string
	ConfigPaths       []string
	StrictComponents  bool
	GracefulShutdown  time.Duration
	BlockShutdown     time.Duration // 0 means not at all
	AppHealthCheck    bool
	AppHealthPath     string
	AppHealthInterval time.Duration
	AppHealthTimeout  time.Duration
	// AppHealthThreshold is the number of failures in a row that make the app
	// unhealthy.
	AppHealthThreshold int

	// EnableMTLS makes sidecars prove to each other who they are; it needs
	// SentryAddress and TrustAnchors.
	EnableMTLS    bool
	SentryAddress string
	// TrustAnchors are the PEM roots of DAPR_TRUST_ANCHORS.
	TrustAnchors string
	// ControlPlaneAddress is the operator's, in Kubernetes.
	ControlPlaneAddress                            string
	ControlPlaneTrustDomain, ControlPlaneNamespace string
	JWTAudiences                                   []string
	DisableBuiltinSecretStore                      bool

	LogLevel  slog.Level
	LogAsJSON bool

	// Wait, Version and BuildInfo ask for one answer and the end.
	Wait, Version, BuildInfo bool

	// Warnings are what the user should know about the flags given: deprecated
	// ones and ones whose feature is not built yet.
	Warnings []string

	metricsPortGiven bool
}

// messageLimit is MaxBodySize for a body that is one message, in bytes; without
// a limit it is the largest message there can be.
func (o *Options) messageLimit() int {
	if o.MaxBodySize < 0 {
		return math.MaxInt32
	}
	return int(min(o.MaxBodySize, math.MaxInt32))
}

// notBuilt are the flags that are part of the contract and whose feature comes
// later. Setting one is not an error: the same command line must start here.
var notBuilt = []string{
	"actors-disseminate-timeout", "actors-service", "app-binding-options-timeout", "disable-init-endpoints",
	"placement-host-address", "reminders-service", "scheduler-host-address", "scheduler-job-streams",
}

// notBuiltEnv is the same for environment variables.
var notBuiltEnv = []string{
	"DAPR_COMPONENTS_SOCKETS_FOLDER", "DAPR_SCHEDULER_HOST_ADDRESS_DNS_A", "SENTRY_LOCAL_IDENTITY",
	"DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK",
	"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
	"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
	"OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
	"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
	"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
}

// UsageError is a command line that cannot be understood; the process ends with
// exit code 2.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

// port is a flag for a TCP port. Empty, 0 and -1 mean that none is given: that
// is how the CLI's users write it.
type port int

func (p *port) String() string { return strconv.Itoa(int(*p)) }
func (*port) Type() string     { return "port" }

func (p *port) Set(s string) error {
	if s == "" {
		s = "0"
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < -1 || n > 65535 {
		return errors.New("must be a port number from 1 to 65535")
	}
	*p = port(max(n, 0))
	return nil
}

// size is a flag for a number of bytes, in Kubernetes' notation.
type size int64

func (s *size) String() string { return strconv.FormatInt(int64(*s), 10) }
func (*size) Type() string     { return "size" }

func (s *size) Set(v string) error {
	n, err := quantity.Parse(v)
	*s = size(n)
	return err
}

// ParseOptions reads the command line and the environment. The error is one
// line that names the flag, the value and the fix.
func ParseOptions(args []string, env LookupEnv) (*Options, error) {
	o := &Options{
		Namespace:   env.get("NAMESPACE"),
		APIToken:    env.get("DAPR_API_TOKEN"),
		AppAPIToken: env.get("APP_API_TOKEN"),
		DisableH2C:  truthy(env.get("DAPR_HTTP_DISABLE_H2C")),

		TrustAnchors: env.get("DAPR_TRUST_ANCHORS"),
	}
	httpPort, grpcPort, profilePort, metricsPort := port(3500), port(50001), port(7777), port(9090)
	var appPort, internalPort, publicPort port
	maxBody, readBuffer := size(4<<20), size(4<<10)
	var (
		componentsPath, logLevel, listenAddresses        string
		appSSL                                           bool
		maxRequestMB, readBufferKB                       int
		graceSeconds, healthInterval, healthTimeoutMilli int
		apiLogging, strict                               bool
		blockShutdown                                    time.Duration
		ignored                                          struct {
			s  string
			ss []string
			n  int
			d  time.Duration
		}
	)

	f := pflag.NewFlagSet("daprd", pflag.ContinueOnError)
	f.Usage = func() {} // Main prints it, once and to the right stream
	f.SortFlags = true
	f.StringVar(&o.AppID, "app-id", "", "unique id of the app (required)")
	f.StringVar(&o.Mode, "mode", ModeStandalone, "standalone or kubernetes")
	f.Var(&appPort, "app-port", "port the app listens on; none: the app takes no calls")
	f.StringVar(&o.AppProtocol, "app-protocol", "http", "protocol of the app: grpc, grpcs, http, https, h2c")
	f.StringVar(&o.AppChannelAddress, "app-channel-address", "127.0.0.1", "address the app listens on")
	f.IntVar(&o.AppMaxConcurrency, "app-max-concurrency", -1, "calls to the app at one time; -1: no limit")
	f.BoolVar(&appSSL, "app-ssl", false, "the app speaks TLS (deprecated: --app-protocol https or grpcs)")
	f.Var(&httpPort, "dapr-http-port", "port of the HTTP API")
	f.Var(&grpcPort, "dapr-grpc-port", "port of the gRPC API")
	f.Var(&internalPort, "dapr-internal-grpc-port", "port for other sidecars; none: a free one")
	f.StringVar(&o.InternalAddress, "dapr-internal-grpc-listen-address", "", "address for other sidecars; none: all")
	f.Var(&publicPort, "dapr-public-port", "port for health and metadata without authentication; none: not served")
	f.StringVar(&o.PublicAddress, "dapr-public-listen-address", "", "address of the public port; none: all")
	f.StringVar(&listenAddresses, "dapr-listen-addresses", "", "addresses of the APIs, separated by commas; none: all")
	f.Var(&profilePort, "profile-port", "port of the profiling server")
	f.BoolVar(&o.EnableProfiling, "enable-profiling", false, "serve pprof on the profile port")
	f.StringVar(&o.UnixDomainSocket, "unix-domain-socket", "", "folder for unix domain sockets in place of the API's ports")
	f.StringSliceVar(&o.ResourcesPaths, "resources-path", nil, "folder of YAML resources; repeatable")
	f.StringVar(&componentsPath, "components-path", "", "deprecated: --resources-path")
	f.StringSliceVar(&o.ConfigPaths, "config", nil, "Configuration file; repeatable, later ones override")
	f.BoolVar(&strict, "strict-components", false, "end when a component cannot be opened, rather than retry (default in Kubernetes)")
	f.StringVar(&o.AllowedOrigins, "allowed-origins", "", "origins for CORS, separated by commas; *: all; none: CORS is off")
	f.Var(&maxBody, "max-body-size", "largest request body, such as 4Mi")
	f.Var(&readBuffer, "read-buffer-size", "largest request header, such as 4Ki")
	f.IntVar(&maxRequestMB, "dapr-http-max-request-size", 4, "deprecated: --max-body-size (here in MB)")
	f.IntVar(&readBufferKB, "dapr-http-read-buffer-size", 4, "deprecated: --read-buffer-size (here in KB)")
	f.IntVar(&graceSeconds, "dapr-graceful-shutdown-seconds", 5, "seconds for a graceful end")
	f.DurationVar(&blockShutdown, "dapr-block-shutdown-duration", 0, "keep serving this long after a signal, or until the app is unhealthy")
	f.BoolVar(&apiLogging, "enable-api-logging", false, "log every API call; not given: the Configuration decides")
	f.BoolVar(&o.AppHealthCheck, "enable-app-health-check", false, "probe the app and hold back calls while it is unhealthy")
	f.StringVar(&o.AppHealthPath, "app-health-check-path", "/healthz", "path of the probe, for HTTP apps")
	f.IntVar(&healthInterval, "app-health-probe-interval", 5, "seconds between probes")
	f.IntVar(&healthTimeoutMilli, "app-health-probe-timeout", 500, "milliseconds a probe may take; less than the interval")
	f.IntVar(&o.AppHealthThreshold, "app-health-threshold", 3, "failed probes in a row that make the app unhealthy")
	f.StringVar(&logLevel, "log-level", "info", "debug, info, warn, error or fatal")
	f.BoolVar(&o.LogAsJSON, "log-as-json", false, "write logs as JSON")
	f.BoolVar(&o.EnableMetrics, "enable-metrics", true, "serve Prometheus metrics")
	f.Var(&metricsPort, "metrics-port", "port of the metrics server")
	f.StringVar(&o.MetricsAddress, "metrics-listen-address", "0.0.0.0", "address of the metrics server")
	f.BoolVar(&o.Wait, "wait", false, "wait until the sidecar on the HTTP port can be called, then end")
	f.BoolVar(&o.Version, "version", false, "print the version")
	f.BoolVar(&o.BuildInfo, "build-info", false, "print the build")

	f.BoolVar(&o.EnableMTLS, "enable-mtls", false, "prove to other sidecars who this one is, and have them prove it")
	f.StringVar(&o.SentryAddress, "sentry-address", "", "address of the certificate authority")
	f.StringVar(&o.ControlPlaneAddress, "control-plane-address", "", "address of the operator, in Kubernetes")
	f.StringVar(&o.ControlPlaneTrustDomain, "control-plane-trust-domain", envOr(env, "DAPR_CONTROLPLANE_TRUST_DOMAIN", "localhost"), "trust domain of the control plane")
	f.StringVar(&o.ControlPlaneNamespace, "control-plane-namespace", envOr(env, "DAPR_CONTROLPLANE_NAMESPACE", "default"), "namespace of the control plane")
	f.StringSliceVar(&o.JWTAudiences, "sentry-request-jwt-audiences", nil, "whom the certificate authority is to make JWTs for")
	f.BoolVar(&o.DisableBuiltinSecretStore, "disable-builtin-k8s-secret-store", false, "do without the secret store named kubernetes")

	// Parsed so that command lines carry over; see notBuilt.
	f.DurationVar(&ignored.d, "actors-disseminate-timeout", 30*time.Second, "")
	f.StringVar(&ignored.s, "actors-service", "", "")
	f.DurationVar(&ignored.d, "app-binding-options-timeout", 3*time.Second, "")
	f.StringSliceVar(&ignored.ss, "disable-init-endpoints", nil, "")
	f.StringVar(&ignored.s, "placement-host-address", "", "")
	f.StringVar(&ignored.s, "reminders-service", "", "")
	f.StringSliceVar(&ignored.ss, "scheduler-host-address", nil, "")
	f.IntVar(&ignored.n, "scheduler-job-streams", 3, "")
	for _, name := range notBuilt {
		f.Lookup(name).Usage = "part of the protocol, not built yet"
	}

	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil, &helpRequest{usage: f.FlagUsages()}
		}
		return nil, usageError(f, err)
	}
	if rest := f.Args(); len(rest) > 0 {
		return nil, &UsageError{fmt.Sprintf("unexpected argument %q: daprd takes flags only, such as --app-id %s", rest[0], rest[0])}
	}
	given := f.Changed

	o.AppPort, o.HTTPPort, o.GRPCPort = int(appPort), int(httpPort), int(grpcPort)
	o.InternalPort, o.PublicPort = int(internalPort), int(publicPort)
	o.ProfilePort, o.MetricsPort, o.metricsPortGiven = int(profilePort), int(metricsPort), given("metrics-port")
	o.MaxBodySize, o.ReadBufferSize = int64(maxBody), int64(readBuffer)
	o.BlockShutdown = blockShutdown
	o.GracefulShutdown = time.Duration(graceSeconds) * time.Second
	if graceSeconds < 0 {
		o.GracefulShutdown = 5 * time.Second
	}
	o.AppHealthInterval = time.Duration(healthInterval) * time.Second
	o.AppHealthTimeout = time.Duration(healthTimeoutMilli) * time.Millisecond
	for _, host := range splitList(listenAddresses) {
		o.ListenAddresses = append(o.ListenAddresses, strings.Trim(host, "[]"))
	}
	if given("enable-api-logging") {
		o.EnableAPILogging = &apiLogging
	}
	o.StrictComponents = strict
	if !given("strict-components") {
		o.StrictComponents = o.Mode == ModeKubernetes
	}
	o.deprecated(given, componentsPath, appSSL, maxRequestMB, readBufferKB)
	for _, name := range notBuilt {
		if given(name) && f.Lookup(name).Value.String() != f.Lookup(name).DefValue {
			o.Warnings = append(o.Warnings, fmt.Sprintf("flag --%s is accepted, but what it configures is not built yet: it has no effect", name))
		}
	}
	for _, name := range notBuiltEnv {
		if env.get(name) != "" {
			o.Warnings = append(o.Warnings, fmt.Sprintf("environment variable %s is accepted, but what it configures is not built yet: it has no effect", name))
		}
	}

	var err error
	if o.LogLevel, err = telemetry.ParseLevel(logLevel); err != nil {
		return nil, &UsageError{"--log-level: " + err.Error()}
	}
	if o.Version || o.BuildInfo || o.Wait {
		return o, nil
	}
	return o, o.validate()
}

func (o *Options) deprecated(given func(string) bool, componentsPath string, appSSL bool, maxRequestMB, readBufferKB int) {
	warn := func(old, instead string) {
		o.Warnings = append(o.Warnings, fmt.Sprintf("flag --%s is deprecated: use %s", old, instead))
	}
	if given("components-path") {
		warn("components-path", "--resources-path")
		if len(o.ResourcesPaths) == 0 && componentsPath != "" {
			o.ResourcesPaths = []string{componentsPath}
		}
	}
	if given("app-ssl") {
		warn("app-ssl", "--app-protocol https or grpcs")
		if appSSL && (o.AppProtocol == "http" || o.AppProtocol == "grpc") {
			o.AppProtocol += "s"
		}
	}
	if given("dapr-http-max-request-size") {
		warn("dapr-http-max-request-size", "--max-body-size")
		if !given("max-body-size") {
			o.MaxBodySize = int64(maxRequestMB) << 20
		}
	}
	if given("dapr-http-read-buffer-size") {
		warn("dapr-http-read-buffer-size", "--read-buffer-size")
		if !given("read-buffer-size") {
			o.ReadBufferSize = int64(readBufferKB) << 10
		}
	}
}

// validate names the first flag that is wrong, its value and the fix.
func (o *Options) validate() error {
	fail := func(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }
	switch {
	case o.AppID == "":
		return fail("--app-id is missing: give the app an id, such as --app-id orders")
	case strings.Contains(o.AppID, "."):
		return fail("--app-id %q must not contain a dot: what follows one is read as the namespace; use a dash", o.AppID)
	case strings.ContainsAny(o.AppID, "/\\|# ?"):
		return fail("--app-id %q must not contain any of / \\ | # ? or a space: use letters, digits and dashes", o.AppID)
	}
	if o.Mode != ModeStandalone && o.Mode != ModeKubernetes {
		return fail("--mode %q is not known: use standalone or kubernetes", o.Mode)
	}
	protocols := []string{"grpc", "grpcs", "http", "https", "h2c"}
	o.AppProtocol = strings.ToLower(o.AppProtocol)
	if !slices.Contains(protocols, o.AppProtocol) {
		return fail("--app-protocol %q is not known: use %s", o.AppProtocol, strings.Join(protocols, ", "))
	}
	if o.MaxBodySize == 0 {
		return fail("--max-body-size 0 would refuse every body: give a size such as 4Mi, or -1 for no limit")
	}
	if o.ReadBufferSize <= 0 {
		return fail("--read-buffer-size %d must be above zero, such as 4Ki", o.ReadBufferSize)
	}
	switch {
	case o.EnableMTLS && o.SentryAddress == "":
		return fail("--enable-mtls needs --sentry-address: the address of the certificate authority, such as localhost:50001")
	case o.EnableMTLS && o.TrustAnchors == "":
		return fail("--enable-mtls needs the environment variable DAPR_TRUST_ANCHORS: the PEM certificates of the roots to trust")
	case o.Mode == ModeKubernetes && o.ControlPlaneAddress == "":
		return fail("--mode kubernetes needs --control-plane-address: the address of the operator, such as dapr-api.dapr-system.svc.cluster.local:443")
	case o.Mode == ModeKubernetes && o.Namespace == "":
		return fail("--mode kubernetes needs the environment variable NAMESPACE: the namespace of the pod")
	}
	if err := o.validateHealth(fail); err != nil || o.UnixDomainSocket != "" {
		return err
	}
	return o.validatePorts(fail)
}

func (o *Options) validateHealth(fail func(string, ...any) error) error {
	if o.AppHealthCheck {
		switch {
		case o.AppPort == 0:
			return fail("--enable-app-health-check needs --app-port: there is no app to probe")
		case o.AppHealthInterval <= 0:
			return fail("--app-health-probe-interval %d must be at least 1 second", int(o.AppHealthInterval/time.Second))
		case o.AppHealthTimeout <= 0 || o.AppHealthTimeout >= o.AppHealthInterval:
			return fail("--app-health-probe-timeout %d ms must be above zero and below the interval of %d ms", o.AppHealthTimeout.Milliseconds(), o.AppHealthInterval.Milliseconds())
		case o.AppHealthThreshold < 1:
			return fail("--app-health-threshold %d must be at least 1", o.AppHealthThreshold)
		}
	}
	return nil
}

// validatePorts finds a port that is given twice.
func (o *Options) validatePorts(fail func(string, ...any) error) error {
	ports := map[int]string{}
	for _, p := range []struct {
		flag string
		port int
	}{
		{"app-port", o.AppPort}, {"dapr-http-port", o.HTTPPort}, {"dapr-grpc-port", o.GRPCPort},
		{"dapr-internal-grpc-port", o.InternalPort}, {"dapr-public-port", o.PublicPort},
	} {
		if p.port == 0 {
			continue
		}
		if other, taken := ports[p.port]; taken {
			return fail("--%s and --%s are both %d: give each its own port", other, p.flag, p.port)
		}
		ports[p.port] = p.flag
	}
	return nil
}

func usageError(f *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		f.VisitAll(func(fl *pflag.Flag) { names = append(names, fl.Name) })
		name, given := unknown.GetSpecifiedName(), "--"+unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			name, given = short, "-"+short // one dash, as Go's own flags take it
		}
		if n := nearest.Name(name, names); n != "" {
			return &UsageError{fmt.Sprintf("unknown flag %s; did you mean --%s?", given, n)}
		}
		return &UsageError{fmt.Sprintf("unknown flag %s; run daprd --help for the flags", given)}
	}
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return &UsageError{err.Error()}
	}
	reason := errors.Unwrap(invalid)
	var number *strconv.NumError
	if errors.As(reason, &number) {
		reason = errors.New("must be a whole number")
		if number.Func == "ParseBool" {
			reason = errors.New("must be true or false")
		}
	}
	return &UsageError{fmt.Sprintf("--%s %q: %v", invalid.GetFlag().Name, invalid.GetValue(), reason)}
}

type helpRequest struct{ usage string }

func (*helpRequest) Error() string { return "help requested" }

func envOr(env LookupEnv, name, otherwise string) string {
	if v := env.get(name); v != "" {
		return v
	}
	return otherwise
}

func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func truthy(s string) bool {
	switch strings.ToLower(s) {
	case "1", "true", "t", "yes", "y", "on":
		return true
	}
	return false
}
