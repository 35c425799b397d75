package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/hyperdapr/dapr/pkg/sidecar"
)

// daprdPage is relative to the root of the project.
const daprdPage = "docs/daprd.md"

const daprdIntro = `<!-- Written by "make docs" from the sidecar's own help: change that. -->

# The sidecar's flags

` + "`dapr run`" + ` starts ` + "`daprd`" + ` for you, and in Kubernetes the injector does, with the flags that the
[annotations](annotations.md) ask for. This is for those who start it themselves. A port of 0 or -1 is none given.

## Flags

| flag | type | default | meaning |
|---|---|---|---|
`

const daprdEnvironment = `
## Environment

| variable | meaning |
|---|---|
| ` + "`DAPR_API_TOKEN`" + ` | what callers of the API must send as ` + "`dapr-api-token`" + ` |
| ` + "`APP_API_TOKEN`" + ` | what the sidecar sends to its app, under the same name |
| ` + "`DAPR_TRUST_ANCHORS`" + ` | with ` + "`--enable-mtls`" + `: the roots to trust, in PEM |
| ` + "`DAPR_SENTRY_TOKEN_FILE`" + ` | with ` + "`--enable-mtls`" + `: the token for the certificate authority |
| ` + "`NAMESPACE`" + ` | the app's namespace |
| ` + "`POD_NAME`" + ` | fills ` + "`{podName}`" + ` in a component's metadata |
| ` + "`DAPR_ENV_KEYS`" + ` | names of the variables that ` + "`envRef`" + ` may refer to, separated by spaces; set by the injector |
| ` + "`DAPR_HTTP_DISABLE_H2C`" + ` | ` + "`true`" + `: no HTTP/2 without TLS |
| ` + "`DAPR_CONTROLPLANE_TRUST_DOMAIN`, `DAPR_CONTROLPLANE_NAMESPACE`" + ` | defaults of the flags of that name |

## Exit codes

0 after a signal or a shutdown, 1 for everything that went wrong, 2 for a command line that cannot be understood.
`

// usage is one line of the help: name, type, meaning.
var (
	usage     = regexp.MustCompile(`^ +(?:-\w, )?--([a-z0-9-]+)(?: ([a-z]+))? {2,}(.*)$`)
	byDefault = regexp.MustCompile(` \(default (?:"([^"]*)"|([^" ]+))\)$`)
)

// daprd is the whole page.
func daprd() ([]byte, error) {
	var help bytes.Buffer
	noEnv := func(string) (string, bool) { return "", false }
	if err := sidecar.Main(context.Background(), []string{"--help"}, noEnv, &help, io.Discard); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(daprdIntro)
	for line := range strings.Lines(help.String()) {
		m := usage.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		name, typ, about, value := m[1], m[2], m[3], ""
		if typ == "" {
			typ = "true or false"
		}
		if d := byDefault.FindStringSubmatch(about); d != nil {
			about, value = strings.TrimSuffix(about, d[0]), d[1]+d[2]
		}
		fmt.Fprintf(&b, "| `--%s` | %s | %s | %s |\n", name, typ, code(value), escape(about))
	}
	b.WriteString(daprdEnvironment)
	return b.Bytes(), nil
}
