//go:build payload

package embed

import "embed"

//go:embed payload/linux_amd64/*.zst payload/linux_amd64/manifest.json
//go:embed payload/linux_*/*.zst payload/linux_*/manifest.json
var payload embed.FS
