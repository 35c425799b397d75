//go:build unix

package iostreams

import "os"

// readsEscapes is a question to Windows consoles only.
func readsEscapes(*os.File) bool { return false }
