package signals

import (
	"os"
	"os/signal"
	"syscall"
)

// Ends returns a channel of the requests to end the program: SIGINT, SIGTERM
// and SIGHUP, which a closing terminal sends and nohup makes ignored. On Windows
// Ctrl-C and Ctrl-Break are SIGINT; the closing of the console, the end of the
// session and of the system are SIGTERM, some seconds before the program is
// killed. It is for
// a program that passes them on; one that only ends itself takes Notify.
func Ends() <-chan os.Signal {
	ends := make(chan os.Signal, 4)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(ends, syscall.SIGHUP)
	}
	return ends
}
