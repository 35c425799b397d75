//go:build payload

package embed

import "embed"

//go:embed payload/linux_amd64/*.zst payload/linux_amd64/manifest.json
var payload embed.FS

const payloadFolder = "payload/linux_amd64"
