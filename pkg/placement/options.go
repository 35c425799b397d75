package placement

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/spf13/pflag"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/service"
)

// options are what the flags say.
type options struct {
	id      string
	peers   []raft.Server // with this replica
	logPath string        // of raft; empty: in memory

	port    int
	address string

	kubernetes    bool
	namespace     string // of the control plane
	tls           bool
	trustDomain   string
	anchorsFile   string
	sentryAddress string

	metadata                        bool
	replication                     int64
	keepaliveTime, keepaliveTimeout time.Duration
	disseminateTimeout              time.Duration
	coalesceWindow                  time.Duration
}

// metadataVariable is the default of --metadata-enabled.
const metadataVariable = "DAPR_PLACEMENT_METADATA_ENABLED"

// defineFlags adds the flags. What it returns reads them when they are parsed.
func defineFlags(fs *pflag.FlagSet, env service.LookupEnv) func() (*options, error) {
	o := &options{}
	fs.StringVar(&o.id, "id", "dapr-placement-0", "name of this replica")
	cluster := fs.String("initial-cluster", "dapr-placement-0=127.0.0.1:8201", "every replica as NAME=HOST:PORT, separated by commas")
	inMemory := fs.Bool("inmem-store-enabled", true, "keep the log of elections in memory")
	logPath := fs.String("raft-logstore-path", "", "folder for the log of elections when it is not kept in memory")
	port := service.Port(fs, "port", 50005, "port for sidecars")
	fs.StringVar(&o.address, "listen-address", "", "address for sidecars and replicas; none: all")
	fs.BoolVar(&o.tls, "tls-enabled", false, "have sidecars and replicas prove who they are")
	fs.BoolVar(&o.metadata, "metadata-enabled", false, "serve GET /placement/state on the port of healthz; by default as "+metadataVariable+" in the environment says")
	fs.Int64Var(&o.replication, "replicationFactor", 100, "how often each host is on the hash ring")
	fs.DurationVar(&o.keepaliveTime, "keepalive-time", 2*time.Second, "how long a silent sidecar is left alone, 1s to 10s")
	fs.DurationVar(&o.keepaliveTimeout, "keepalive-timeout", 3*time.Second, "how long it then has to answer, 1s to 10s")
	fs.DurationVar(&o.disseminateTimeout, "disseminate-timeout", 8*time.Second, "how long sidecars have to acknowledge each step of a round")
	fs.DurationVar(&o.coalesceWindow, "disseminate-coalesce-window", 0, "how long changes are collected before a round")
	fs.StringVar(&o.trustDomain, "trust-domain", "localhost", "trust domain of the control plane")
	fs.StringVar(&o.anchorsFile, "trust-anchors-file", "/var/run/secrets/dapr.io/tls/ca.crt", "PEM file of the roots to trust")
	fs.StringVar(&o.sentryAddress, "sentry-address", "", "address of the certificate authority; none: dapr-sentry.NAMESPACE.svc:443")
	mode := fs.String("mode", "standalone", "standalone or kubernetes")
	for name, value := range map[string]int{"max-api-level": 10, "min-api-level": 0} {
		fs.Int(name, value, "without effect: sidecars of all levels get the same tables")
		fs.Lookup(name).Hidden = true
	}

	return func() (*options, error) {
		o.port = *port
		o.namespace = cmp.Or(env.Get("NAMESPACE"), "default")
		o.sentryAddress = cmp.Or(o.sentryAddress, fmt.Sprintf("dapr-sentry.%s.svc:443", o.namespace))
		switch *mode {
		case "standalone", "kubernetes":
			o.kubernetes = *mode == "kubernetes"
		default:
			return nil, service.Usagef("--mode %q: use standalone or kubernetes", *mode)
		}
		if o.tls && o.kubernetes && env.Get("NAMESPACE") == "" {
			return nil, service.Usagef("environment variable NAMESPACE is missing: give it the control plane's namespace, such as dapr-system")
		}
		if !*inMemory {
			if o.logPath = *logPath; o.logPath == "" {
				return nil, service.Usagef("--raft-logstore-path is missing: name a folder, or leave --inmem-store-enabled on")
			}
		}
		var err error
		if text := env.Get(metadataVariable); text != "" && !fs.Changed("metadata-enabled") {
			if o.metadata, err = strconv.ParseBool(text); err != nil {
				return nil, service.Usagef("environment variable %s is %q: use true or false", metadataVariable, text)
			}
		}
		if o.peers, err = parsePeers(*cluster); err != nil {
			return nil, service.Usagef("--initial-cluster %q: %v", *cluster, err)
		}
		return o, o.validate()
	}
}

func (o *options) validate() error {
	if _, ok := o.self(); !ok {
		return service.Usagef("--id %q is none of the replicas in --initial-cluster: add %[1]s=HOST:PORT there, or use one of its names", o.id)
	}
	for _, f := range []struct {
		name       string
		value      time.Duration
		least, max time.Duration
	}{
		{"keepalive-time", o.keepaliveTime, time.Second, 10 * time.Second},
		{"keepalive-timeout", o.keepaliveTimeout, time.Second, 10 * time.Second},
		{"disseminate-timeout", o.disseminateTimeout, time.Millisecond, time.Hour},
		{"disseminate-coalesce-window", o.coalesceWindow, 0, time.Hour},
	} {
		if f.value < f.least || f.value > f.max {
			return service.Usagef("--%s %v: use %v to %v", f.name, f.value, f.least, f.max)
		}
	}
	if most := int64(10000); o.replication < 1 || o.replication > most {
		return service.Usagef("--replicationFactor %d: use 1 to %d", o.replication, most)
	}
	return nil
}

func parsePeers(text string) ([]raft.Server, error) {
	var peers []raft.Server
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		id, address, ok := strings.Cut(entry, "=")
		if !ok || id == "" {
			return nil, fmt.Errorf("%q is not of the form NAME=HOST:PORT", entry)
		}
		host, port, err := net.SplitHostPort(address)
		if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || host == "" {
			return nil, fmt.Errorf("%q is not of the form NAME=HOST:PORT", entry)
		}
		for _, p := range peers {
			if p.ID == raft.ServerID(id) || p.Address == raft.ServerAddress(address) {
				return nil, fmt.Errorf("%q repeats the name or the address of %s=%s", entry, p.ID, p.Address)
			}
		}
		peers = append(peers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(id), Address: raft.ServerAddress(address)})
	}
	return peers, nil
}

// self is this replica's entry.
func (o *options) self() (raft.Server, bool) {
	i := slices.IndexFunc(o.peers, func(p raft.Server) bool { return string(p.ID) == o.id })
	if i < 0 {
		return raft.Server{}, false
	}
	return o.peers[i], true
}

// alone tells that there is nobody to elect.
func (o *options) alone() bool { return len(o.peers) == 1 }

// listenForPeers binds the port that the other replicas know. Its host need not
// be an address of this machine, as in a cluster whose names are not known yet;
// only a loopback address limits who is listened to.
func (o *options) listenForPeers() (net.Listener, error) {
	self, _ := o.self()
	host, text, err := net.SplitHostPort(string(self.Address))
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		host = o.address
	}
	return freeport.Listen(host, port, "--initial-cluster")
}
