package security

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Options are what a Provider needs. All but Token, JWTAudiences and Renewed
// are required.
type Options struct {
	// ID is who the process says it is. The certificate authority may give
	// another trust domain; Provider.ID tells.
	ID ID
	// Sentry is the certificate authority's id, and SentryAddress where it is.
	Sentry        ID
	SentryAddress string
	// Anchors are the roots; Run keeps them up to date.
	Anchors *Anchors
	Token   Token
	// JWTAudiences are whom JWTs are wanted for; see Provider.JWT.
	JWTAudiences []string
	Log          *slog.Logger
	// Renewed, when set, hears of every attempt to get a certificate, the first
	// one too: nil when there is a new one.
	Renewed func(error)
}

// Provider has the certificate of this process, and gets a new one before it
// expires. It is safe for concurrent use.
type Provider struct {
	o       Options
	ready   chan struct{} // closed with the first certificate
	current atomic.Pointer[identity]
}

// identity is what the certificate authority has given.
type identity struct {
	id      ID
	svid    *x509svid.SVID
	expires time.Time // of the certificate or of a JWT, whichever is first
	jwt     string
	jwts    map[string]string // by audience
}

// NewProvider returns a provider without a certificate: Run gets one.
func NewProvider(o Options) (*Provider, error) {
	if err := o.ID.Validate(); err != nil {
		return nil, fmt.Errorf("the identity of this process: %w", err)
	}
	if err := o.Sentry.Validate(); err != nil {
		return nil, fmt.Errorf("the identity of the certificate authority: %w", err)
	}
	if o.SentryAddress == "" {
		return nil, errors.New("the address of the certificate authority is missing: set --sentry-address")
	}
	return &Provider{o: o, ready: make(chan struct{})}, nil
}

// How long to wait between rounds of requests that failed.
const (
	retryFirst = time.Second
	retryMost  = 10 * time.Second
)

// Run gets a certificate and replaces it before half of its life is over, until
// the context ends. It ends early only when there is no certificate yet and the
// certificate authority refuses to give one; while it cannot be reached, Run
// tries on.
func (p *Provider) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.o.Anchors.Run(ctx, p.o.Log) })
	g.Go(func() error {
		if err := p.renewals(ctx); ctx.Err() == nil {
			return err
		}
		return nil
	})
	return g.Wait()
}

func (p *Provider) renewals(ctx context.Context) error {
	if err := p.o.Anchors.wait(ctx); err != nil {
		return err
	}
	for retry := retryFirst; ; {
		err := p.renew(ctx)
		anchorsChanged := p.o.Anchors.Changed() // what this request has learned is no change
		wait := untilRenewal(p.current.Load())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			retry = retryFirst
		case p.current.Load() == nil && refused(err):
			return err
		default:
			p.o.Log.Error("no certificate from the certificate authority; trying on: " + err.Error())
			wait = jitter(retry)
			retry = min(2*retry, retryMost)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		case <-anchorsChanged:
			// A root was added or is about to go: be among those of the new one soon,
			// but not all at the same moment.
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(jitter(min(wait, 2*retryMost))):
			}
		}
	}
}

func (p *Provider) renew(ctx context.Context) error {
	next, err := p.request(ctx)
	if p.o.Renewed != nil && ctx.Err() == nil {
		p.o.Renewed(err)
	}
	if err != nil {
		return err
	}
	first := p.current.Swap(next) == nil
	p.o.Log.Info("the certificate authority has given a certificate", "id", next.id.String(), "expires", next.svid.Certificates[0].NotAfter.Format(time.RFC3339))
	if first {
		close(p.ready)
	}
	return nil
}

// untilRenewal is between 40 and 50 percent of what is left: sidecars that
// started together do not ask together for ever. What is left counts, not the
// certificate's own beginning, which lies before it was made.
func untilRenewal(i *identity) time.Duration {
	if i == nil {
		return 0
	}
	left := time.Until(i.expires)
	return time.Duration(float64(left) * (0.4 + 0.1*rand.Float64()))
}

// jitter is between half of d and d.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

// refused tells whether asking again with the same proof is of no use.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.PermissionDenied, codes.InvalidArgument, codes.Unauthenticated, codes.Unimplemented:
		return true
	}
	return false
}

// Ready returns a channel that is closed when there is a certificate.
func (p *Provider) Ready() <-chan struct{} { return p.ready }

// ID returns who the certificate says this process is; what Options said while
// there is none.
func (p *Provider) ID() ID {
	if i := p.current.Load(); i != nil {
		return i.id
	}
	return p.o.ID
}

// Anchors returns the roots in use.
func (p *Provider) Anchors() *Anchors { return p.o.Anchors }

// GetX509SVID implements x509svid.Source: the certificate in use and its key.
func (p *Provider) GetX509SVID() (*x509svid.SVID, error) {
	if i := p.current.Load(); i != nil {
		return i.svid, nil
	}
	return nil, errors.New("there is no certificate yet: the certificate authority has not answered")
}

// JWT returns the JWT for an audience, or the one for the trust domain when
// audience is empty. There is none when the certificate authority gives none, or
// none for the audience: Options.JWTAudiences must name it.
func (p *Provider) JWT(audience string) (token string, ok bool) {
	i := p.current.Load()
	if i == nil {
		return "", false
	}
	if token, ok = i.jwts[audience]; !ok && (audience == "" || audience == i.id.TrustDomain) {
		token = i.jwt
	}
	return token, token != ""
}

// certificates checks that what the certificate authority has given is what was
// asked for: somebody else's certificate would make every later refusal a riddle.
func (p *Provider) certificates(chain []*x509.Certificate, anchors []*x509.Certificate) (ID, error) {
	spiffe, err := x509svid.IDFromCert(chain[0])
	if err != nil {
		return ID{}, err
	}
	id, err := fromSPIFFE(spiffe)
	if err != nil {
		return ID{}, err
	}
	if id.Namespace != p.o.ID.Namespace || id.AppID != p.o.ID.AppID {
		return ID{}, fmt.Errorf("the certificate is that of %s", id)
	}
	check := &Anchors{current: anchors}
	if _, _, err := x509svid.Verify(chain, check); err != nil {
		return ID{}, err
	}
	return id, nil
}
