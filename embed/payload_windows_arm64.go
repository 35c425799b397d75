//go:build payload

package embed

import "embed"

//go:embed payload/windows_arm64/*.zst payload/windows_arm64/manifest.json
//go:embed payload/linux_*/*.zst payload/linux_*/manifest.json
var payload embed.FS
