package standalone

import (
	"errors"
	"net"
	"os/exec"
	"strings"

	"github.com/hyperdapr/dapr/pkg/freeport"
)

// ports are the sidecar's, bound by us from the moment they are known until the
// sidecar has them.
type ports struct {
	http, grpc, internal, metrics, profile int
	listeners                              map[string]net.Listener
}

// reservePorts binds the sidecar's ports. Those the user chose come first, so
// that the system cannot pick one of them for another purpose.
func (o *RunOptions) reservePorts() (ports, error) {
	p := ports{listeners: make(map[string]net.Listener)}
	// Several addresses share a port: the first is bound here, the others follow.
	api, _, _ := strings.Cut(o.ListenAddresses, ",")
	api = strings.Trim(strings.TrimSpace(api), "[]")
	wanted := []struct {
		name, flag, host string
		port             int
		got              *int
		skip             bool
	}{
		{"http", "--dapr-http-port", api, o.HTTPPort, &p.http, o.UnixDomainSocket != ""},
		{"grpc", "--dapr-grpc-port", api, o.GRPCPort, &p.grpc, o.UnixDomainSocket != ""},
		{"internal", "--dapr-internal-grpc-port", "", o.InternalGRPCPort, &p.internal, false},
		{"metrics", "--metrics-port", "0.0.0.0", o.MetricsPort, &p.metrics, false},
		{"profile", "--profile-port", "127.0.0.1", o.ProfilePort, &p.profile, !o.EnableProfiling},
	}
	for _, chosen := range []bool{true, false} {
		for _, w := range wanted {
			if w.skip || (w.port > 0) != chosen {
				continue
			}
			l, err := o.listen(w.host, max(w.port, 0), w.flag)
			if err != nil {
				return ports{}, errors.Join(err, p.close())
			}
			p.listeners[w.name] = l
			*w.got = freeport.Port(l)
		}
	}
	return p, nil
}

// listen binds one port. A free one is never the app's, which the app has yet
// to bind.
func (o *RunOptions) listen(host string, port int, flag string) (net.Listener, error) {
	l, err := freeport.Listen(host, port, flag)
	if err != nil || port != 0 || freeport.Port(l) != o.AppPort {
		return l, err
	}
	defer l.Close() // after the next one is bound, so that it differs
	return freeport.Listen(host, port, flag)
}

// give makes cmd inherit the ports; call release when it has started.
func (p ports) give(cmd *exec.Cmd) (release func(), err error) {
	return freeport.Inherit(cmd, p.listeners)
}

func (p ports) close() error {
	var errs []error
	for _, l := range p.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
