package sentry

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/pflag"

	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/service"
)

// Modes of the service.
const (
	modeStandalone = "standalone"
	modeKubernetes = "kubernetes"
)

// options are what the flags say.
type options struct {
	mode             string
	config           string // a file or, in Kubernetes, the name of a Configuration
	configGiven      bool
	credentials      string // folder
	names            names
	trustDomain      string
	trustDomainGiven bool
	namespace        string
	port             *int
	listenAddress    string
	kubeconfig       string
	kubeconfigGiven  bool

	jwt  *jwtOptions  // nil when no JWTs are issued
	oidc *oidcOptions // nil when no keys are published

	oidcPort          *int
	oidcAddress       string
	oidcCert, oidcKey string

	raw rawOptions
}

// rawOptions are flags that finish turns into something else.
type rawOptions struct {
	jwtEnabled, oidcEnabled, oidcTLS  bool
	jwtIssuer, jwtKeyID, jwtAlgorithm string
	jwtTTL                            time.Duration
	oidcJWKSURI, oidcPathPrefix       string
	oidcAllowedHosts                  []string
}

func newOptions(fs *pflag.FlagSet, env service.LookupEnv) *options {
	o := &options{namespace: ownNamespace(env)}
	home := env.Get("HOME")
	if home == "" {
		home = env.Get("USERPROFILE")
	}
	fs.StringVar(&o.mode, "mode", modeStandalone, "standalone or kubernetes")
	fs.StringVar(&o.config, "config", "daprsystem", "Configuration: a file or, in Kubernetes, a name")
	fs.StringVar(&o.credentials, "issuer-credentials", "/var/run/secrets/dapr.io/credentials", "folder with root, issuer and key; made there when missing (not in Kubernetes)")
	fs.StringVar(&o.names.anchors, "issuer-ca-filename", authority.AnchorsKey, "file of the roots")
	fs.StringVar(&o.names.issuer, "issuer-certificate-filename", authority.IssuerKey, "file of the issuer's certificate")
	fs.StringVar(&o.names.key, "issuer-key-filename", authority.SecretKey, "file of the issuer's key")
	fs.StringVar(&o.trustDomain, "trust-domain", "localhost", "trust domain of the control plane")
	o.port = service.Port(fs, "port", 50001, "port of the API")
	fs.StringVar(&o.listenAddress, "listen-address", "", "address of the API; none: all")
	fs.BoolVar(&o.raw.jwtEnabled, "jwt-enabled", false, "issue JWTs beside certificates")
	fs.StringVar(&o.names.jwtKey, "jwt-key-filename", "jwt.key", "file of the key that signs JWTs")
	fs.StringVar(&o.names.jwks, "jwks-filename", "jwks.json", "file of the keys that JWTs are checked with")
	fs.StringVar(&o.raw.jwtIssuer, "jwt-issuer", "", "issuer of JWTs; none: they name none")
	fs.StringVar(&o.raw.jwtKeyID, "jwt-key-id", "", "id of the key that signs JWTs; none: its SHA-256 thumbprint")
	fs.StringVar(&o.raw.jwtAlgorithm, "jwt-signing-algorithm", "RS256", "algorithm that signs JWTs")
	fs.DurationVar(&o.raw.jwtTTL, "jwt-ttl", 24*time.Hour, "lifetime of JWTs")
	fs.BoolVar(&o.raw.oidcEnabled, "oidc-enabled", false, "publish the keys that JWTs are checked with over OIDC discovery")
	o.oidcPort = service.Port(fs, "oidc-server-listen-port", 9080, "port of the OIDC server")
	fs.StringVar(&o.oidcAddress, "oidc-server-listen-address", "localhost", "address of the OIDC server")
	fs.BoolVar(&o.raw.oidcTLS, "oidc-server-tls-enabled", true, "serve OIDC over TLS")
	fs.StringVar(&o.oidcCert, "oidc-server-tls-cert-file", "", "certificate of the OIDC server; none: one of this authority")
	fs.StringVar(&o.oidcKey, "oidc-server-tls-key-file", "", "key of the OIDC server")
	fs.StringVar(&o.raw.oidcJWKSURI, "oidc-jwks-uri", "", "where the keys are, for the discovery document; none: here")
	fs.StringVar(&o.raw.oidcPathPrefix, "oidc-path-prefix", "", "prefix of the paths of the OIDC server")
	fs.StringSliceVar(&o.raw.oidcAllowedHosts, "oidc-allowed-hosts", nil, "hosts that OIDC requests may name; none: all")
	fs.StringVar(&o.kubeconfig, "kubeconfig", filepath.Join(home, ".kube", "config"), "access to the cluster, outside of one")
	return o
}

// finish checks the flags together. An error names the first that is wrong, its
// value and the fix.
func (o *options) finish(fs *pflag.FlagSet) error {
	o.configGiven, o.trustDomainGiven, o.kubeconfigGiven = fs.Changed("config"), fs.Changed("trust-domain"), fs.Changed("kubeconfig")
	r := &o.raw
	if o.mode != modeStandalone && o.mode != modeKubernetes {
		return service.Usagef("--mode %q is not known: use standalone or kubernetes", o.mode)
	}
	for _, f := range []struct{ flag, name string }{
		{"issuer-ca-filename", o.names.anchors}, {"issuer-certificate-filename", o.names.issuer}, {"issuer-key-filename", o.names.key},
		{"jwt-key-filename", o.names.jwtKey}, {"jwks-filename", o.names.jwks},
	} {
		if f.name == "" || strings.ContainsAny(f.name, `/\`) {
			return service.Usagef("--%s %q must be the name of a file in --issuer-credentials, not a path", f.flag, f.name)
		}
	}
	if r.jwtEnabled {
		if err := o.finishJWT(); err != nil {
			return err
		}
	}
	if !r.oidcEnabled {
		return nil
	}
	if !r.jwtEnabled {
		return service.Usagef("--oidc-enabled publishes the keys of JWTs: it needs --jwt-enabled")
	}
	if (o.oidcCert == "") != (o.oidcKey == "") {
		return service.Usagef("--oidc-server-tls-cert-file and --oidc-server-tls-key-file belong together: give both or none")
	}
	prefix := strings.Trim(r.oidcPathPrefix, "/")
	if strings.ContainsAny(prefix, "{}?# ") {
		return service.Usagef("--oidc-path-prefix %q must be a plain path such as /oidc", r.oidcPathPrefix)
	}
	if prefix != "" {
		prefix = "/" + prefix
	}
	o.oidc = &oidcOptions{
		issuer: r.jwtIssuer, jwksURI: r.oidcJWKSURI, pathPrefix: prefix, allowedHosts: r.oidcAllowedHosts,
		algorithm: r.jwtAlgorithm, tls: r.oidcTLS,
	}
	return nil
}

func (o *options) finishJWT() error {
	r := &o.raw
	algorithm := jose.SignatureAlgorithm(r.jwtAlgorithm)
	if jwtAlgorithms[algorithm] == nil {
		var names []string
		for a := range maps.Keys(jwtAlgorithms) {
			names = append(names, string(a))
		}
		slices.Sort(names)
		if n := nearest.Name(r.jwtAlgorithm, names); n != "" {
			return service.Usagef("--jwt-signing-algorithm %q is not known; did you mean %s?", r.jwtAlgorithm, n)
		}
		return service.Usagef("--jwt-signing-algorithm %q is not known: use %s", r.jwtAlgorithm, strings.Join(names, ", "))
	}
	if r.jwtTTL <= 0 {
		return service.Usagef("--jwt-ttl %s must be above zero", r.jwtTTL)
	}
	o.jwt = &jwtOptions{issuer: r.jwtIssuer, keyID: r.jwtKeyID, algorithm: algorithm, ttl: r.jwtTTL, names: o.names}
	return nil
}
