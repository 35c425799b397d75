//go:build !payload || !((linux || darwin || windows) && (amd64 || arm64))

package embed

import "embed"

var payload embed.FS
