package iostreams

import (
	"os"

	"golang.org/x/sys/windows"
)

// readsEscapes makes a console read escape sequences, and tells whether it does:
// those before Windows 10 cannot. It stays so, as with most programs: shells set the
// console up anew after each.
func readsEscapes(f *os.File) bool {
	console := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(console, &mode) != nil {
		return false // a file, a pipe
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_PROCESSED_OUTPUT|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
