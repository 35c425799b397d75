package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hyperdapr/dapr/pkg/app"
	"github.com/hyperdapr/dapr/pkg/peer"
	"github.com/hyperdapr/dapr/pkg/security"
)

// What the manifest mounts, and where the control plane is.
const (
	anchorsFile  = "/trust/ca.crt"
	tokenFile    = "/token/token"
	self         = "probe"
	victim       = "nodeapp"
	namespace    = "default"
	controlPlane = "dapr-system"
)

func service(appID string) security.ID {
	return security.ID{TrustDomain: "cluster.local", Namespace: controlPlane, AppID: appID}
}

// identity gets a certificate, as a sidecar does, or the certificate authority's
// refusal. The certificate is renewed until the context ends.
func identity(ctx context.Context, id security.ID, token string) (*security.Provider, error) {
	data, err := os.ReadFile(anchorsFile)
	if err != nil {
		return nil, err
	}
	anchors, err := security.NewAnchors(data)
	if err != nil {
		return nil, err
	}
	p, err := security.NewProvider(security.Options{
		ID: id, Sentry: service(security.Sentry), SentryAddress: "dapr-sentry." + controlPlane + ".svc.cluster.local:443",
		Anchors: anchors, Token: security.Token{File: token, Validator: sentryv1.SignCertificateRequest_KUBERNETES},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case err := <-ended:
		return nil, err
	case <-p.Ready():
		return p, nil
	}
}

func itself(ctx context.Context) (*security.Provider, error) {
	return identity(ctx, security.ID{TrustDomain: security.DefaultTrustDomain, Namespace: namespace, AppID: self}, tokenFile)
}

func certificate(ctx context.Context, appID, namespace, token string, out io.Writer) error {
	p, err := identity(ctx, security.ID{TrustDomain: security.DefaultTrustDomain, Namespace: namespace, AppID: appID}, token)
	if err == nil {
		fmt.Fprintln(out, "certificate of", p.ID())
	}
	return err
}

func resources(ctx context.Context, namespace string, out io.Writer) error {
	p, err := itself(ctx)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("dapr-api."+controlPlane+".svc.cluster.local:443",
		grpc.WithTransportCredentials(p.ClientCredentials(security.Exactly(service(security.Operator)))))
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := operatorv1.NewOperatorClient(conn).ListComponents(ctx, &operatorv1.ListComponentsRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	for _, document := range answer.GetComponents() {
		var c struct{ Metadata struct{ Name string } }
		if err := json.Unmarshal(document, &c); err != nil {
			return err
		}
		fmt.Fprintln(out, "component", c.Metadata.Name)
	}
	fmt.Fprintln(out, "that is all")
	return nil
}

// issuer prints the fingerprint of the issuer's certificate that a sidecar shows.
func issuer(ctx context.Context, address string, out io.Writer) error {
	p, err := itself(ctx)
	if err != nil {
		return err
	}
	config := security.ClientConfig(p, p.Anchors(), func(security.ID) error { return nil })
	config.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(chain) < 2 {
		return fmt.Errorf("the sidecar at %s shows no issuer", address)
	}
	fmt.Fprintf(out, "issuer %x\n", sha256.Sum256(chain[1].Raw))
	return nil
}

// call calls the victim's sidecar as no sidecar would.
func call(ctx context.Context, as, claim, method, address string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	p, err := itself(ctx)
	if err != nil {
		return err
	}
	theVictim := security.App(namespace, victim)
	options := peer.ClientOptions{}
	switch as {
	case "itself":
		options.Credentials = func(peer.Target) credentials.TransportCredentials { return p.ClientCredentials(theVictim) }
	case "forged":
		svid, err := forge(security.ID{TrustDomain: security.DefaultTrustDomain, Namespace: namespace, AppID: claim})
		if err != nil {
			return err
		}
		return greet(ctx, security.ClientConfig(svid, p.Anchors(), theVictim), address, out)
	case "nobody":
		config := security.ClientConfig(p, p.Anchors(), theVictim)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
		return greet(ctx, config, address, out)
	case "plaintext":
	default:
		return fmt.Errorf("nobody can call as %q", as)
	}
	client := peer.NewClient(options)
	defer client.Close()
	verb, path, _ := strings.Cut(method, " ")
	answer, err := client.Invoke(ctx, peer.Target{Address: address, AppID: victim, Namespace: namespace}, &app.Request{
		Verb: verb, Path: path, Header: http.Header{"Dapr-Caller-App-Id": {claim}, "Dapr-Caller-Namespace": {namespace}},
	})
	if err != nil {
		return err
	}
	defer answer.Close()
	fmt.Fprintln(out, "answered", answer.Status)
	return nil
}

// greet waits for what a server says first once it knows who calls: the alert, or
// the beginning of HTTP/2. The alert is lost now and then, when the server closes
// the connection before it has read everything.
func greet(ctx context.Context, config *tls.Config, address string, out io.Writer) error {
	config.NextProtos = []string{"h2"}
	for {
		err := firstWord(ctx, config, address)
		switch {
		case err == nil:
			fmt.Fprintln(out, "greeted")
			return nil
		case strings.Contains(err.Error(), "remote error: "), !rest(ctx):
			return err
		}
	}
}

func firstWord(ctx context.Context, config *tls.Config, address string) error {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, err = conn.Read(make([]byte, 1))
	return err
}

// forge makes a certificate that no authority has signed.
func forge(id security.ID) (*x509svid.SVID, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), URIs: []*url.URL{id.URL()}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	spiffe, err := x509svid.IDFromCert(cert)
	if err != nil {
		return nil, err
	}
	return &x509svid.SVID{ID: spiffe, Certificates: []*x509.Certificate{cert}, PrivateKey: key}, nil
}
