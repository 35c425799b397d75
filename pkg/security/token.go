package security

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
)

// Files with the token that proves to the certificate authority which pod asks.
const (
	tokenFile       = "/var/run/secrets/dapr.io/sentrytoken/token"
	legacyTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"
)

// Token is where the proof of a certificate request comes from. The zero value
// proves nothing, which the certificate authority accepts outside Kubernetes.
type Token struct {
	// File is read for every request: tokens expire and are replaced.
	File string
	// Validator is what the certificate authority is to check the token with.
	Validator sentryv1.SignCertificateRequest_TokenValidator
}

// FindToken returns the token of a process: that of the environment variable
// DAPR_SENTRY_TOKEN_FILE or, in Kubernetes, the one mounted into the pod.
func FindToken(lookupEnv func(string) (string, bool), kubernetes bool) (Token, error) {
	return findToken(lookupEnv, kubernetes, tokenFile, legacyTokenFile)
}

func findToken(lookupEnv func(string) (string, bool), kubernetes bool, mounted ...string) (Token, error) {
	validator := sentryv1.SignCertificateRequest_JWKS
	if kubernetes {
		validator = sentryv1.SignCertificateRequest_KUBERNETES
	}
	file, set := lookupEnv("DAPR_SENTRY_TOKEN_FILE")
	switch {
	case set && file == "":
		return Token{}, errors.New("the environment variable DAPR_SENTRY_TOKEN_FILE is empty: give it the path of a token, or unset it")
	case set:
		return Token{file, validator}, nil
	case !kubernetes:
		return Token{}, nil
	}
	for _, file := range mounted {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return Token{file, validator}, nil
		}
	}
	return Token{}, fmt.Errorf("the pod has no token for the certificate authority at %s: was it made without the sidecar injector?", mounted[0])
}

func (t Token) read() (string, error) {
	if t.File == "" {
		return "", nil
	}
	data, err := os.ReadFile(t.File)
	if err != nil {
		return "", fmt.Errorf("read the token for the certificate authority: %w", err)
	}
	if data = bytes.TrimSpace(data); len(data) == 0 {
		return "", fmt.Errorf("the token for the certificate authority in %s is empty", t.File)
	}
	return string(data), nil
}
