package standalone

import (
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// sidecarArgs are the sidecar's arguments: "--name value" pairs in a fixed
// order, on which tools rely that read the process list.
func (o *RunOptions) sidecarArgs(p ports) []string {
	var args []string
	text := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name, value)
		}
	}
	number := func(name string, value int) {
		if value > 0 {
			args = append(args, "--"+name, strconv.Itoa(value))
		}
	}
	flag := func(name string, value bool) {
		if value {
			args = append(args, "--"+name)
		}
	}
	text("config", o.Config)
	text("app-protocol", o.AppProtocol)
	text("dapr-listen-addresses", o.ListenAddresses)
	flag("enable-profiling", o.EnableProfiling)
	text("log-level", o.LogLevel)
	number("app-max-concurrency", o.AppMaxConcurrency)
	text("placement-host-address", withPort(o.PlacementHostAddress, localPort(runtime.GOOS, 50005, 6050)))
	for _, path := range o.ResourcesPaths {
		text("resources-path", path)
	}
	flag("app-ssl", o.AppSSL)
	text("max-body-size", o.MaxBodySize)
	text("read-buffer-size", o.ReadBufferSize)
	flag("enable-app-health-check", o.EnableAppHealthCheck)
	text("app-health-check-path", o.AppHealthCheckPath)
	number("app-health-probe-interval", o.AppHealthProbeInterval)
	number("app-health-probe-timeout", o.AppHealthProbeTimeout)
	number("app-health-threshold", o.AppHealthThreshold)
	flag("enable-api-logging", o.EnableAPILogging)
	text("scheduler-host-address", withPort(o.SchedulerHostAddress, localPort(runtime.GOOS, 50006, 6060)))
	text("app-id", o.AppID)
	if o.AppChannelAddress != "127.0.0.1" {
		text("app-channel-address", o.AppChannelAddress)
	}
	number("app-port", o.AppPort)
	number("dapr-http-port", p.http)
	number("dapr-grpc-port", p.grpc)
	number("profile-port", p.profile)
	number("metrics-port", p.metrics)
	text("unix-domain-socket", o.UnixDomainSocket)
	number("dapr-internal-grpc-port", p.internal)
	flag("log-as-json", o.LogAsJSON)
	return args
}

// localPort is the port on which a service runs on developers' machines. Windows
// reserves many ports around 50000 for itself.
func localPort(goos string, port, windowsPort int) int {
	if goos == "windows" {
		return windowsPort
	}
	return port
}

// withPort adds a service's default port to each address of a list that has
// none.
func withPort(addresses string, port int) string {
	var list []string
	for address := range strings.SplitSeq(addresses, ",") {
		if address = strings.TrimSpace(address); address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), strconv.Itoa(port))
		}
		list = append(list, address)
	}
	return strings.Join(list, ",")
}

// sidecarEnv is the sidecar's environment. The runtime path makes it register
// where this CLI looks.
func (o *RunOptions) sidecarEnv() []string {
	return append(o.Env[:len(o.Env):len(o.Env)], "DAPR_RUNTIME_PATH="+filepath.Dir(o.Layout.Root))
}

// appEnv is the app's environment.
func (o *RunOptions) appEnv(p ports) []string {
	env := append(o.Env[:len(o.Env):len(o.Env)],
		"APP_ID="+o.AppID,
		"APP_PROTOCOL="+o.AppProtocol,
		"DAPR_METRICS_PORT="+strconv.Itoa(p.metrics),
	)
	if o.AppChannelAddress != "" {
		env = append(env, "APP_CHANNEL_ADDRESS="+o.AppChannelAddress)
	}
	if o.AppPort > 0 {
		env = append(env, "APP_PORT="+strconv.Itoa(o.AppPort))
	}
	if p.http > 0 {
		env = append(env, "DAPR_HTTP_PORT="+strconv.Itoa(p.http))
	}
	if p.grpc > 0 {
		env = append(env, "DAPR_GRPC_PORT="+strconv.Itoa(p.grpc))
	}
	// Python holds its output back when it is not a terminal; its log would come
	// late, or never when the app is killed.
	if lookup(o.Env, "PYTHONUNBUFFERED") == "" {
		env = append(env, "PYTHONUNBUFFERED=1")
	}
	return env
}

// lookup returns the value of a variable in an environment; the last one counts.
func lookup(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// sockets are a sidecar's files in the folder of unix domain sockets, if it has
// one.
func sockets(dir, appID string) []string {
	if dir == "" {
		return nil
	}
	return []string{httpSocket(dir, appID), filepath.Join(dir, "dapr-"+appID+"-grpc.socket")}
}

// apiAddress is where the sidecar's HTTP API listens.
func (o *RunOptions) apiAddress(p ports) (network, address string) {
	if o.UnixDomainSocket != "" {
		return "unix", httpSocket(o.UnixDomainSocket, o.AppID)
	}
	host, _, _ := strings.Cut(o.ListenAddresses, ",")
	if ip := net.ParseIP(strings.Trim(strings.TrimSpace(host), "[]")); ip != nil && !ip.IsUnspecified() {
		return "tcp", net.JoinHostPort(ip.String(), strconv.Itoa(p.http))
	}
	return "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.http))
}
