// Package version tells which build is running. The build stamps the values
// with the linker (see the Makefile); a plain `go build` falls back to what the
// Go toolchain recorded.
package version

import "runtime/debug"

// Owner is the organisation the project is published under: the one in the
// module path, which a test holds it to.
const Owner = "hyperdapr"

// Stamped by the linker.
var (
	version    = "edge"
	commit     = ""
	gitVersion = ""
)

// Version is the release, without a leading "v", or "edge" for a build that was
// not stamped.
func Version() string { return version }

// Commit is the git commit of the build, or "unknown".
func Commit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// GitVersion is `git describe` of the build, or the version when there is none.
func GitVersion() string {
	if gitVersion != "" {
		return gitVersion
	}
	return version
}
