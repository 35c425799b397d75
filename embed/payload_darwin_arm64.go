//go:build payload

package embed

import "embed"

//go:embed payload/darwin_arm64/*.zst payload/darwin_arm64/manifest.json
var payload embed.FS

const payloadFolder = "payload/darwin_arm64"
