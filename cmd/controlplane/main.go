// Command controlplane is every control plane service: one role a process,
// chosen by the first argument or by the name the program is started under.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(2)
	}
}
