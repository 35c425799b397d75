//go:build payload

package embed

import "embed"

//go:embed payload/linux_arm64/*.zst payload/linux_arm64/manifest.json
var payload embed.FS

const payloadFolder = "payload/linux_arm64"
