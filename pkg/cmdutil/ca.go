package cmdutil

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/security/authority"
)

// CAFiles are the files of a certificate authority of the user's own, as flags.
type CAFiles struct{ root, issuer, key string }

// Define defines the flags.
func (c *CAFiles) Define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.root, "ca-root-certificate", "", "File with the root certificate of a certificate authority of your own")
	flags.StringVar(&c.issuer, "issuer-public-certificate", "", "File with the issuer's certificate, signed by the root")
	flags.StringVar(&c.key, "issuer-private-key", "", "File with the issuer's private key")
}

// Given tells whether there are any.
func (c *CAFiles) Given() bool { return c.root != "" || c.issuer != "" || c.key != "" }

// Check refuses some without the others.
func (c *CAFiles) Check() error {
	if c.Given() && (c.root == "" || c.issuer == "" || c.key == "") {
		return FlagErrorf("--ca-root-certificate, --issuer-public-certificate and --issuer-private-key belong together: give all three, or none")
	}
	return nil
}

// Read reads the files; what is in them is not looked at.
func (c *CAFiles) Read() (b authority.Bundle, err error) {
	for _, part := range []struct {
		flag, file string
		to         *[]byte
	}{
		{"ca-root-certificate", c.root, &b.Anchors},
		{"issuer-public-certificate", c.issuer, &b.Issuer},
		{"issuer-private-key", c.key, &b.Key},
	} {
		if *part.to, err = os.ReadFile(part.file); err != nil {
			return b, fmt.Errorf("--%s: %w", part.flag, err)
		}
	}
	return b, nil
}
