package cmdutil

import (
	"runtime"
	"strings"

	"github.com/hyperdapr/dapr/pkg/home"
)

// Env is an environment in the form of os.Environ. It is passed on to the
// programs the CLI starts and is the only one the commands look into.
type Env []string

// Lookup returns the value of a variable and whether it is set. Names ignore
// case on Windows, as they do there for every program.
func (e Env) Lookup(name string) (string, bool) { return e.lookup(runtime.GOOS, name) }

func (e Env) lookup(goos, name string) (string, bool) {
	for _, kv := range e {
		k, v, ok := strings.Cut(kv, "=")
		if ok && (k == name || goos == "windows" && strings.EqualFold(k, name)) {
			return v, true
		}
	}
	return "", false
}

// Get returns the value of a variable, or "".
func (e Env) Get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Home returns the user's folder, "" when the environment names none, and the
// variable that names it.
func (e Env) Home() (folder, variable string) {
	variable = home.Variable(runtime.GOOS)
	return e.Get(variable), variable
}
