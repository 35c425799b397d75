//go:build payload

package embed

import "embed"

//go:embed payload/darwin_amd64/*.zst payload/darwin_amd64/manifest.json
var payload embed.FS

const payloadFolder = "payload/darwin_amd64"
