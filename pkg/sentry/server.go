package sentry

import (
	"context"
	"crypto/x509"
	stdpem "encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/dapr/kit/crypto/pem"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

// server is the certificate authority's API.
type server struct {
	sentryv1.UnimplementedCAServer
	keeper     *keeper
	validators map[sentryv1.SignCertificateRequest_TokenValidator]validator
	// byDefault is the validator of requests that name none.
	byDefault sentryv1.SignCertificateRequest_TokenValidator
	metrics   *metrics
	log       *slog.Logger
}

// SignCertificate implements sentryv1.CAServer.
func (s *server) SignCertificate(ctx context.Context, req *sentryv1.SignCertificateRequest) (*sentryv1.SignCertificateResponse, error) {
	s.metrics.received.Inc()
	id, resp, reason, err := s.signCertificate(ctx, req)
	if err != nil {
		s.metrics.failed.WithLabelValues(reason).Inc()
		s.log.Warn("no certificate: "+status.Convert(err).Message(), "app", req.GetId(), "namespace", req.GetNamespace(), "reason", reason)
		return nil, err
	}
	s.metrics.signed.Inc()
	s.log.Info("certificate signed", "id", id.String(), "expires", resp.GetValidUntil().AsTime().Format(time.RFC3339))
	return resp, nil
}

// signCertificate returns the reason for an error as the metrics name it.
func (s *server) signCertificate(ctx context.Context, req *sentryv1.SignCertificateRequest) (id security.ID, resp *sentryv1.SignCertificateResponse, reason string, err error) {
	csr, err := parseCSR(req.GetCertificateSigningRequest())
	if err != nil {
		return id, nil, "req_parse", status.Errorf(codes.InvalidArgument, "certificate_signing_request: %v", err)
	}
	v, err := s.validator(req.GetTokenValidator())
	if err != nil {
		return id, nil, "unknown_validator", status.Error(codes.InvalidArgument, err.Error())
	}
	id, err = v.validate(ctx, req)
	if err != nil {
		if _, ok := status.FromError(err); !ok {
			err = status.Error(codes.PermissionDenied, err.Error())
		}
		return id, nil, "req_id_validation", err
	}
	resp, err = s.sign(id, csr, req.GetJwtAudiences())
	if err != nil {
		return id, nil, "cert_sign", status.Error(codes.Internal, err.Error())
	}
	return id, resp, "", nil
}

// parseCSR checks that who asks has the key; all else in the request does not
// count.
func parseCSR(data []byte) (*x509.CertificateRequest, error) {
	block, _ := stdpem.Decode(data)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	return csr, csr.CheckSignature()
}

func (s *server) validator(name sentryv1.SignCertificateRequest_TokenValidator) (validator, error) {
	if name == sentryv1.SignCertificateRequest_UNKNOWN {
		name = s.byDefault
	}
	if v, ok := s.validators[name]; ok {
		return v, nil
	}
	var names []string
	for _, known := range slices.Sorted(maps.Keys(s.validators)) {
		names = append(names, known.String())
	}
	return nil, fmt.Errorf("token_validator %s is not in use here: use %s", name, strings.Join(names, " or "))
}

func (s *server) sign(id security.ID, csr *x509.CertificateRequest, audiences []string) (*sentryv1.SignCertificateResponse, error) {
	state := s.keeper.current.Load()
	if state == nil {
		return nil, errors.New("the trust bundle is not loaded yet")
	}
	now := s.keeper.maker.now()
	request := authority.Request{ID: id, Public: csr.PublicKey, Now: now, ClockSkew: state.settings.clockSkew, TTL: state.settings.ttl}
	if self := s.keeper.self; id.TrustDomain == self.TrustDomain && id.Namespace == self.Namespace {
		request.DNSNames = serverNames(id)
	}
	chain, err := state.authority.Sign(request)
	if err != nil {
		return nil, err
	}
	certificate, err := pem.EncodeX509Chain(chain)
	if err != nil {
		return nil, err
	}
	resp := &sentryv1.SignCertificateResponse{
		WorkloadCertificate:    certificate,
		TrustChainCertificates: [][]byte{state.material.Anchors},
		ValidUntil:             timestamppb.New(chain[0].NotAfter),
	}
	if state.jwt == nil {
		return resp, nil
	}
	return resp, addJWTs(resp, state, id, audiences, now)
}

// addJWTs adds one JWT for the trust domain and all audiences together, and one
// for each audience alone.
func addJWTs(resp *sentryv1.SignCertificateResponse, s *state, id security.ID, audiences []string, now time.Time) error {
	all := append([]string{id.TrustDomain}, audiences...)
	token, err := s.jwt.sign(id, all, now, s.settings.clockSkew)
	if err != nil {
		return fmt.Errorf("sign the JWT of %s: %w", id, err)
	}
	resp.Jwt = wrapperspb.String(token)
	for _, audience := range audiences {
		token, err := s.jwt.sign(id, []string{audience}, now, s.settings.clockSkew)
		if err != nil {
			return fmt.Errorf("sign the JWT of %s: %w", id, err)
		}
		if resp.PerAudienceJwts == nil {
			resp.PerAudienceJwts = make(map[string]*wrapperspb.StringValue)
		}
		resp.PerAudienceJwts[audience] = wrapperspb.String(token)
	}
	return nil
}

// serverNames are the DNS names that a service of the control plane is reached
// by from where SPIFFE ids mean nothing, such as the Kubernetes API server.
func serverNames(id security.ID) []string {
	switch id.AppID {
	case security.Injector:
		return []string{"dapr-sidecar-injector." + id.Namespace + ".svc"}
	case security.Operator:
		return []string{"dapr-webhook." + id.Namespace + ".svc"}
	case security.Sentry:
		return []string{"dapr-sentry." + id.Namespace + ".svc", "localhost"}
	case security.Scheduler:
		var names []string
		for replica := range 3 {
			names = append(names, fmt.Sprintf("dapr-scheduler-server-%d.dapr-scheduler-server.%s.svc.%s", replica, id.Namespace, id.TrustDomain))
		}
		return names
	}
	return nil
}
