package inject

import (
	"fmt"
	"strconv"
	"strings"
)

// Ports of the sidecar that no annotation changes.
const (
	httpPort   = 3500
	publicPort = 3501
)

// placementService is the kind of actors' service that has a flag of its own.
const placementService = "placement"

// arguments is a command line under construction. A flag and its value are two
// arguments: tools read them out of the container that way.
type arguments []string

func (a *arguments) flag(name string) { *a = append(*a, name) }

func (a *arguments) value(name string, v any) { *a = append(*a, name, fmt.Sprint(v)) }

// text leaves out what is empty.
func (a *arguments) text(name, v string) {
	if v != "" {
		a.value(name, v)
	}
}

func (a *arguments) number(name string, v *int32) {
	if v != nil {
		a.value(name, *v)
	}
}

func (a *arguments) when(on bool, name string) {
	if on {
		a.flag(name)
	}
}

// args are the sidecar's flags.
func (c *Config) args(s *Settings) []string {
	var a arguments
	a.value("--dapr-http-port", httpPort)
	a.value("--dapr-grpc-port", c.GRPCPort)
	a.value("--dapr-internal-grpc-port", c.InternalGRPCPort)
	a.value("--dapr-listen-addresses", c.ListenAddresses)
	a.value("--dapr-public-port", publicPort)
	a.value("--app-id", c.AppID)
	a.value("--app-protocol", c.AppProtocol)
	a.value("--log-level", c.LogLevel)
	a.value("--dapr-graceful-shutdown-seconds", c.GracefulShutdownSeconds)
	a.value("--mode", "kubernetes")
	a.value("--control-plane-address", s.service("dapr-api", 443))
	a.value("--sentry-address", s.sentryAddress())
	if c.AppPort > 0 {
		a.value("--app-port", c.AppPort)
	}
	if c.EnableMetrics {
		a.flag("--enable-metrics")
		a.value("--metrics-port", c.MetricsPort)
	} else {
		a.flag("--enable-metrics=false")
	}
	a.text("--config", c.Configuration)
	a.text("--app-channel-address", c.AppChannelAddress)
	c.actorArgs(&a, s)
	a.text("--sentry-request-jwt-audiences", c.SentryJWTAudiences)
	if c.APILogging != nil {
		a.flag("--enable-api-logging=" + strconv.FormatBool(*c.APILogging))
	}
	a.when(c.DisableSecretStore, "--disable-builtin-k8s-secret-store")
	if c.AppHealthCheck {
		a.flag("--enable-app-health-check")
		a.value("--app-health-check-path", c.AppHealthPath)
		a.value("--app-health-probe-interval", c.AppHealthInterval)
		a.value("--app-health-probe-timeout", c.AppHealthTimeout)
		a.value("--app-health-threshold", c.AppHealthThreshold)
	}
	a.when(c.LogAsJSON, "--log-as-json")
	a.when(c.Profiling, "--enable-profiling")
	a.when(s.MTLS, "--enable-mtls")
	a.when(c.AppSSL, "--app-ssl")
	a.number("--app-max-concurrency", c.AppMaxConcurrency)
	a.number("--dapr-http-max-request-size", c.HTTPMaxRequestSize)
	a.text("--max-body-size", c.MaxBodySize)
	a.number("--dapr-http-read-buffer-size", c.HTTPReadBufferSize)
	a.text("--read-buffer-size", c.ReadBufferSize)
	if c.UnixDomainSocketPath != "" {
		a.value("--unix-domain-socket", socketFolder)
	}
	a.text("--dapr-block-shutdown-duration", c.BlockShutdownDuration)
	a.text("--actors-disseminate-timeout", c.ActorsDisseminateTimeout)
	a.text("--app-binding-options-timeout", c.BindingOptionsTimeout)
	a.text("--scheduler-host-address", c.schedulerAddress(s))
	a.text("--disable-init-endpoints", c.DisableInitEndpoints)
	return a
}

// actorArgs tell where actors are placed and where reminders are kept.
func (c *Config) actorArgs(a *arguments, s *Settings) {
	switch {
	case c.PlacementAddress != nil:
		a.text("--placement-host-address", *c.PlacementAddress)
	case s.ActorsService == "" || s.ActorsAddress == "":
	case s.ActorsService == placementService:
		a.value("--placement-host-address", s.address(s.ActorsAddress))
	default:
		a.value("--actors-service", s.ActorsService+":"+s.address(s.ActorsAddress))
	}
	if s.RemindersService != "" && s.RemindersAddress != "" {
		a.value("--reminders-service", s.RemindersService+":"+s.address(s.RemindersAddress))
	}
}

func (c *Config) schedulerAddress(s *Settings) string {
	switch {
	case c.SchedulerAddress != nil:
		return *c.SchedulerAddress
	case s.Scheduler:
		return s.service("dapr-scheduler-server-a", 443)
	}
	return ""
}

// host is the full name of a service of the control plane.
func (s *Settings) host(name string) string {
	return fmt.Sprintf("%s.%s.svc.%s", name, s.Namespace, s.ClusterDomain)
}

func (s *Settings) service(name string, port int) string {
	return fmt.Sprintf("%s:%d", s.host(name), port)
}

// address completes NAME:PORT of a service of the control plane; other
// addresses are as they should be.
func (s *Settings) address(a string) string {
	name, port, ok := strings.Cut(a, ":")
	if !ok || strings.ContainsAny(name, ".[") || strings.Contains(port, ":") || strings.Contains(a, ",") {
		return a
	}
	return s.host(name) + ":" + port
}

func (s *Settings) sentryAddress() string {
	if s.SentryAddress != "" {
		return s.SentryAddress
	}
	return s.service("dapr-sentry", 443)
}
