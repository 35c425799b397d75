package security

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dapr/kit/crypto/pem"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// How often a file of anchors is read: always, and while it has none yet. A
// mounted ConfigMap is replaced as a folder, which file events do not show on
// every system; reading a kilobyte costs nothing.
const (
	anchorsPoll        = 5 * time.Second
	anchorsPollMissing = 200 * time.Millisecond
)

// Anchors are the roots that certificates must lead to. They are a set: while
// one root replaces another, certificates of both are good. They are safe for
// concurrent use.
type Anchors struct {
	file string

	mu      sync.Mutex
	given   []*x509.Certificate // from the environment or the file
	learned []*x509.Certificate // from the certificate authority
	current []*x509.Certificate
	changed chan struct{} // closed and replaced when current changes
}

// NewAnchors returns the anchors in PEM, which the environment variable
// DAPR_TRUST_ANCHORS of a sidecar has. They are replaced by what the certificate
// authority says once it was reached: the variable is as old as the process.
func NewAnchors(data []byte) (*Anchors, error) {
	certs, err := parseAnchors(data)
	if err != nil {
		return nil, fmt.Errorf("trust anchors: %w", err)
	}
	a := &Anchors{changed: make(chan struct{})}
	a.set(&a.given, certs)
	return a, nil
}

// AnchorsFromFile returns the anchors in a PEM file, which may not exist yet;
// Run reads it.
func AnchorsFromFile(path string) *Anchors {
	return &Anchors{file: path, changed: make(chan struct{})}
}

func parseAnchors(data []byte) ([]*x509.Certificate, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errNoAnchors
	}
	certs, err := pem.DecodePEMCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("not certificates in PEM: %w", err)
	}
	for _, c := range certs {
		if !c.IsCA {
			return nil, fmt.Errorf("the certificate of %q is not that of an authority", c.Subject)
		}
	}
	return certs, nil
}

var errNoAnchors = errors.New("there are none")

// Run keeps the anchors like the file until the context ends. A file that
// becomes unreadable changes nothing. It returns at once when there is no file.
func (a *Anchors) Run(ctx context.Context, log *slog.Logger) error {
	if a.file == "" {
		return nil
	}
	said := ""
	for {
		wait := anchorsPoll
		certs, err := a.read()
		switch {
		case err == nil:
			said = ""
			a.set(&a.given, certs)
		case len(a.Certificates()) == 0:
			wait = anchorsPollMissing
			fallthrough
		default:
			if text := err.Error(); text != said {
				log.Warn("trust anchors cannot be read yet; trying on: " + text)
				said = text
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (a *Anchors) read() ([]*x509.Certificate, error) {
	data, err := os.ReadFile(a.file)
	if err != nil {
		return nil, err
	}
	certs, err := parseAnchors(data)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", a.file, err)
	}
	return certs, nil
}

// learn takes over what the certificate authority says. A file goes on to count
// beside it.
func (a *Anchors) learn(certs []*x509.Certificate) {
	if len(certs) > 0 {
		a.set(&a.learned, certs)
	}
}

func (a *Anchors) set(part *[]*x509.Certificate, certs []*x509.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*part = certs
	var union []*x509.Certificate
	parts := [][]*x509.Certificate{a.given, a.learned}
	if a.file == "" && len(a.learned) > 0 {
		parts = parts[1:]
	}
	for _, c := range slices.Concat(parts...) {
		if !slices.ContainsFunc(union, c.Equal) {
			union = append(union, c)
		}
	}
	if slices.EqualFunc(union, a.current, (*x509.Certificate).Equal) {
		return
	}
	a.current = union
	close(a.changed)
	a.changed = make(chan struct{})
}

// Certificates returns the anchors. The caller may not change them.
func (a *Anchors) Certificates() []*x509.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

// PEM returns the anchors as a file of certificates.
func (a *Anchors) PEM() []byte {
	var out []byte
	for _, c := range a.Certificates() {
		text, err := pem.EncodeX509(c)
		if err == nil { // a parsed certificate can be written
			out = append(out, text...)
		}
	}
	return out
}

// Changed returns a channel that is closed at the next change.
func (a *Anchors) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// wait returns when there are anchors.
func (a *Anchors) wait(ctx context.Context) error {
	for {
		changed := a.Changed()
		if len(a.Certificates()) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// GetX509BundleForTrustDomain implements x509bundle.Source. In this protocol
// the same anchors are good for every trust domain.
func (a *Anchors) GetX509BundleForTrustDomain(td spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	certs := a.Certificates()
	if len(certs) == 0 {
		return nil, errors.New("there are no trust anchors yet")
	}
	return x509bundle.FromX509Authorities(td, certs), nil
}
