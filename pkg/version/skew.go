package version

import "golang.org/x/mod/semver"

// Compatible tells whether programs of two versions are meant to work together:
// those of one version are, and releases of one major version whose minor
// versions are at most one apart. Of a build that is no release, such as "edge",
// nothing is known but that it works with itself.
func Compatible(a, b string) bool {
	if a == b {
		return true
	}
	majorA, minorA, okA := release(a)
	majorB, minorB, okB := release(b)
	return okA && okB && majorA == majorB && minorA-minorB <= 1 && minorB-minorA <= 1
}

// Newer tells whether version a is after b. What is no release is neither
// before nor after anything.
func Newer(a, b string) bool {
	return semver.IsValid("v"+a) && semver.IsValid("v"+b) && semver.Compare("v"+a, "v"+b) > 0
}

// release takes the parts that count out of a version.
func release(version string) (major string, minor int, ok bool) {
	full := semver.MajorMinor("v" + version)
	if full == "" {
		return "", 0, false
	}
	major = semver.Major(full)
	for _, digit := range full[len(major)+1:] {
		minor = 10*minor + int(digit-'0')
	}
	return major, minor, true
}
