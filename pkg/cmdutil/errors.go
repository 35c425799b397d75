package cmdutil

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// ErrSilent ends a command with exit code 1 when it has already said why.
var ErrSilent = errors.New("failed")

// ErrNoHome is the Layout's where nothing says where the runtime's folder is. A
// command that can do without that folder goes on.
var ErrNoHome = errors.New("no folder for the runtime")

// ExitError ends a command with a code of its own, such as that of the app it
// ran. Nothing is printed when Err is nil.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// FlagError is a wrong use of a command: an unknown or ill-valued flag, a wrong
// number of arguments. It is followed by the way to the help.
type FlagError struct{ err error }

// FlagErrorf makes a FlagError.
func FlagErrorf(format string, args ...any) error {
	return &FlagError{fmt.Errorf(format, args...)}
}

func (e *FlagError) Error() string { return e.err.Error() }

func (e *FlagError) Unwrap() error { return e.err }

// ValueError says of a flag's wrong value what is right, where the flag's type
// tells. It returns other errors as they are.
func ValueError(err error) error {
	wrong := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &wrong) {
		return err
	}
	right, ok := map[string]string{
		"bool":     "must be true or false",
		"int":      "must be a whole number",
		"int64":    "must be a whole number",
		"duration": "must be a duration such as 500ms, 5s or 1m",
	}[wrong.GetFlag().Value.Type()]
	if !ok {
		right = wrong.Unwrap().Error()
	}
	return fmt.Errorf("invalid value %q for --%s: %s", wrong.GetValue(), wrong.GetFlag().Name, right)
}
