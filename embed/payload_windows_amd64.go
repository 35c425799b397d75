//go:build payload

package embed

import "embed"

//go:embed payload/windows_amd64/*.zst payload/windows_amd64/manifest.json
var payload embed.FS

const payloadFolder = "payload/windows_amd64"
