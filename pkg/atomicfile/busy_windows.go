package atomicfile

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isBusy tells whether a file could not be opened, replaced or removed because
// somebody has it open. Access is also denied to a file that is about to vanish.
func isBusy(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}
