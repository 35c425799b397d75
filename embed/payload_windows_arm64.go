//go:build payload

package embed

import "embed"

//go:embed payload/windows_arm64/*.zst payload/windows_arm64/manifest.json
var payload embed.FS

const payloadFolder = "payload/windows_arm64"
