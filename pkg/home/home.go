// Package home knows how a system names its users' home folders.
package home

// Variable is the environment variable that holds the path of the home folder on
// a system, named as runtime.GOOS names it. On Windows that is never HOME: some
// shells there set it too, in a form or to a folder of their own.
func Variable(goos string) string {
	if goos == "windows" {
		return "USERPROFILE"
	}
	return "HOME"
}
