package authority

import (
	"fmt"
	"slices"
)

// Adopt replaces material by other that is given, as Rotate does by new: the old
// roots that are still good stay, and the old issuer vouches for the new one
// where it may.
func Adopt(old, given Bundle, o Options) (Bundle, error) {
	a, err := Parse(old, o.Now)
	if err != nil {
		return Bundle{}, fmt.Errorf("the material in use: %w", err)
	}
	next, err := Parse(given, o.Now)
	if err != nil {
		return Bundle{}, err
	}
	vouched, err := a.vouch(next.chain[0], next.key, o)
	if err != nil {
		return Bundle{}, err
	}
	anchors := slices.Clone(next.anchors)
	for _, c := range a.anchors {
		if c.NotAfter.After(o.Now) && !slices.ContainsFunc(anchors, c.Equal) {
			anchors = append(anchors, c)
		}
	}
	return encode(anchors, slices.Concat(next.chain, vouched), next.key)
}
