// Package quantity reads sizes the way Kubernetes writes them.
package quantity

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

var suffixes = []struct {
	name  string
	bytes float64
}{
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40},
	{"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12},
}

// Parse returns the number of bytes in s: a number with an optional suffix Ki,
// Mi, Gi, Ti (powers of 1024) or k, M, G, T (powers of 1000). A negative number
// means no limit and is returned as -1.
func Parse(s string) (int64, error) {
	number, unit := strings.TrimSpace(s), 1.0
	for _, suffix := range suffixes {
		if n, ok := strings.CutSuffix(number, suffix.name); ok {
			number, unit = n, suffix.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) || v*unit > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is not a size: write a number of bytes, or one with a suffix such as 4Ki, 16Mi or 1Gi", s)
	}
	if v < 0 {
		return -1, nil
	}
	return int64(v * unit), nil
}
