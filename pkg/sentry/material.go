package sentry

import (
	"context"
	"fmt"
	"time"

	"github.com/hyperdapr/dapr/pkg/security/authority"
)

// material is everything secret that replicas share, as it is kept.
type material struct {
	authority.Bundle
	// JWTKey signs JWTs, and JWKS is the set of keys they are checked with. Both
	// are empty while no JWTs are issued.
	JWTKey, JWKS []byte
}

// names are those of the material's parts: files, or keys of the Secret and the
// ConfigMap.
type names struct{ anchors, issuer, key, jwtKey, jwks string }

// store keeps the material where all replicas find it.
type store interface {
	// load returns the material. What complete adds to it is kept first, in a way
	// that of several replicas one wins and the others return the winner's.
	load(ctx context.Context, complete func(material) (m material, changed bool, err error)) (material, error)
}

// maker makes what is missing in the material.
type maker struct {
	options authority.Options
	jwt     *jwtOptions // nil when no JWTs are issued
	now     func() time.Time
}

// complete makes the parts that are missing. It never replaces a part that is
// there: what does not fit together is an error that a person must see.
func (m maker) complete(have material) (want material, changed bool, err error) {
	want = have
	o := m.options
	o.Now = m.now()
	switch missing := have.Missing(); {
	case missing == "":
		if _, err := authority.Parse(have.Bundle, o.Now); err != nil {
			return have, false, err
		}
	case have.Empty():
		if want.Bundle, err = authority.New(o); err != nil {
			return have, false, err
		}
		changed = true
	default:
		return have, false, fmt.Errorf("%s is missing, but other parts are there: add it, or remove all parts to have new ones made", missing)
	}
	if m.jwt == nil {
		return want, changed, nil
	}
	var added bool
	want.JWTKey, want.JWKS, added, err = m.jwt.complete(have.JWTKey, have.JWKS)
	return want, changed || added, err
}
