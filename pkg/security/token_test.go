package security

import (
	"os"
	"path/filepath"
	"testing"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/stretchr/testify/require"
)

func TestTokens(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	mounted, legacy, own, missing := file("mounted", "m\n"), file("legacy", "l"), file("own", " o "), filepath.Join(dir, "missing")
	for _, c := range []struct {
		name       string
		env        map[string]string
		kubernetes bool
		mounts     []string
		want       Token
		token, err string
	}{
		{name: "on one machine", mounts: []string{mounted}},
		{
			name: "of another authority", env: map[string]string{"DAPR_SENTRY_TOKEN_FILE": own},
			want: Token{own, sentryv1.SignCertificateRequest_JWKS}, token: "o",
		},
		{
			name: "the variable goes before what is mounted", env: map[string]string{"DAPR_SENTRY_TOKEN_FILE": own}, kubernetes: true, mounts: []string{mounted, legacy},
			want: Token{own, sentryv1.SignCertificateRequest_KUBERNETES}, token: "o",
		},
		{name: "of the pod", kubernetes: true, mounts: []string{mounted, legacy}, want: Token{mounted, sentryv1.SignCertificateRequest_KUBERNETES}, token: "m"},
		{name: "of an old pod", kubernetes: true, mounts: []string{missing, legacy}, want: Token{legacy, sentryv1.SignCertificateRequest_KUBERNETES}, token: "l"},
		{name: "none", kubernetes: true, mounts: []string{missing}, err: "the pod has no token for the certificate authority at " + missing},
		{name: "empty variable", env: map[string]string{"DAPR_SENTRY_TOKEN_FILE": ""}, err: "DAPR_SENTRY_TOKEN_FILE is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := findToken(func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }, c.kubernetes, c.mounts...)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			text, err := got.read()
			require.NoError(t, err)
			require.Equal(t, c.token, text)
		})
	}
	_, err := Token{File: file("blank", "\n")}.read()
	require.ErrorContains(t, err, "is empty")
	_, err = Token{File: missing}.read()
	require.ErrorIs(t, err, os.ErrNotExist)
}
