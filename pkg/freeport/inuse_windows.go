package freeport

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isInUse also takes WSAEACCES: Windows answers it for a port that another
// process has bound exclusively.
func isInUse(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}
