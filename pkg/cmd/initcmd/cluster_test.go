package initcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/test/golden"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// parse returns what a command line asks for, or why it is refused.
func parse(t *testing.T, args ...string) (*initOptions, error) {
	t.Helper()
	streams, _, _, _ := iostreams.Test()
	var parsed *initOptions
	cmd := NewCmdInit(cmdutil.NewFactory(nil, streams), func(_ context.Context, o *initOptions) error {
		parsed = o
		return nil
	})
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return parsed, err
}

func TestFlagsAsValues(t *testing.T) {
	chart, err := helm.Load(embed.Chart(), "1.2.3")
	require.NoError(t, err)
	var b strings.Builder
	for _, line := range []string{
		"-k",
		"-k --enable-ha",
		"-k --enable-mtls=false",
		"-k --image-registry registry.example.com/team/",
		"-k --set global.logAsJson=true --set dapr_sentry.logLevel=debug,dapr_sentry.replicaCount=2",
		"-k --enable-ha --set global.ha.enabled=false",
	} {
		opts, err := parse(t, strings.Fields(line)...)
		require.NoError(t, err, line)
		values, err := opts.cluster.values(now)
		require.NoError(t, err, line)
		_, err = chart.Template(t.Context(), helm.Target{Release: "dapr", Namespace: "dapr-system"}, values)
		require.NoError(t, err, line)
		text, err := json.Marshal(values)
		require.NoError(t, err)
		fmt.Fprintf(&b, "dapr init %s\n  %s\n", line, text)
	}
	golden.Equal(t, "values.txt", b.String())
}

func TestWrongFlags(t *testing.T) {
	for line, want := range map[string]string{
		"-k --runtime-version 9.9.9":             "--runtime-version 9.9.9: this program installs its own version",
		"-k --image-variant mariner":             `--image-variant "mariner": there is one image, without variants`,
		"-k --timeout 0":                         "--timeout is 0, but must be 1 second or more",
		"-k --ca-root-certificate a":             "give all three, or none",
		"-k --issuer-private-key a":              "give all three, or none",
		"-k --issuer-public-certificate a -n ns": "give all three, or none",
	} {
		_, err := parse(t, strings.Fields(line)...)
		var wrong *cmdutil.FlagError
		require.ErrorAs(t, err, &wrong, line)
		require.ErrorContains(t, err, want, line)
	}
	for line, want := range map[string]string{
		"-k --set nonsense":                `--set: "nonsense" is not name=value`,
		"-k --image-registry https://x":    "without a scheme",
		"-k --image-registry docker.io":    "name the folder in the registry too, such as docker.io/example",
		"-k --image-registry spaces\u00a0": "--image-registry",
	} {
		opts, err := parse(t, strings.Split(line, " ")...)
		require.NoError(t, err, line)
		_, err = opts.cluster.values(now)
		require.ErrorContains(t, err, want, line)
	}
}

func TestFlagsOfTheOtherPlaceAreTold(t *testing.T) {
	opts, err := parse(t, "--enable-ha", "--image-variant", "mariner", "--runtime-version", "9.9.9")
	require.NoError(t, err)
	require.Equal(t, []string{
		"--runtime-version has no effect: " + embedded, "--image-variant has no effect: " + container, "--enable-ha has no effect: " + kubernetes,
	}, opts.notes)
	opts, err = parse(t, "-k", "--slim", "--enable-ha", "--redis-stack")
	require.NoError(t, err)
	require.Equal(t, []string{"--slim has no effect: " + here, "--redis-stack has no effect: " + container}, opts.notes)
}

// certificates writes the files of a certificate authority and returns the
// flags that name them.
func certificates(t *testing.T) (b authority.Bundle, flags []string) {
	t.Helper()
	b, err := authority.New(authority.Options{
		ID: security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Sentry}, Now: now,
	})
	require.NoError(t, err)
	dir := t.TempDir()
	for flag, data := range map[string][]byte{
		"ca-root-certificate": b.Anchors, "issuer-public-certificate": b.Issuer, "issuer-private-key": b.Key,
	} {
		path := filepath.Join(dir, flag)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		flags = append(flags, "--"+flag, path)
	}
	return b, flags
}

func TestCertificates(t *testing.T) {
	b, flags := certificates(t)
	opts, err := parse(t, append([]string{"-k"}, flags...)...)
	require.NoError(t, err)
	values, err := opts.cluster.values(now)
	require.NoError(t, err)
	require.Equal(t, string(b.Anchors), values.Text("dapr_sentry", "tls", "root", "certPEM"))
	require.Equal(t, string(b.Issuer), values.Text("dapr_sentry", "tls", "issuer", "certPEM"))
	require.Equal(t, string(b.Key), values.Text("dapr_sentry", "tls", "issuer", "keyPEM"))

	_, err = opts.cluster.values(now.AddDate(2, 0, 0))
	require.ErrorContains(t, err, "the certificates that were given: ", "they have expired")

	_, others := certificates(t)
	for i := range flags {
		if flags[i] == "--issuer-private-key" {
			flags[i+1] = others[1+slices.Index(others, "--issuer-private-key")]
		}
	}
	opts, err = parse(t, append([]string{"-k"}, flags...)...)
	require.NoError(t, err)
	_, err = opts.cluster.values(now)
	require.ErrorContains(t, err, "issuer.key is not the key of issuer.crt")
	require.NotContains(t, err.Error(), "PRIVATE")

	opts, err = parse(t, "-k", "--ca-root-certificate", "none", "--issuer-public-certificate", "none", "--issuer-private-key", "none")
	require.NoError(t, err)
	_, err = opts.cluster.values(now)
	require.ErrorContains(t, err, "--ca-root-certificate: open none")
}
