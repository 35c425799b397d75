package inject

import (
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hyperdapr/dapr/pkg/quantity"
)

// reader puts an annotation's value where it belongs. Its error says what is
// right: it ends the sentence "… is ignored: ".
type reader func(c *Config, value string) error

// into joins a parser and the field for what it returns. A value that does not
// parse leaves the field as it is.
func into[T any](parse func(string) (T, error), field func(*Config) *T) reader {
	return func(c *Config, value string) error {
		v, err := parse(value)
		if err == nil {
			*field(c) = v
		}
		return err
	}
}

// maybe is for fields that tell "not given" from every value.
func maybe[T any](parse func(string) (T, error)) func(string) (*T, error) {
	return func(s string) (*T, error) {
		v, err := parse(s)
		return &v, err
	}
}

func text(s string) (string, error) { return s, nil }

func trimmed(s string) (string, error) { return strings.TrimSpace(s), nil }

func truth(s string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "t", "yes", "y", "on", "1":
		return true, nil
	case "false", "f", "no", "n", "off", "0":
		return false, nil
	}
	return false, errors.New(`must be "true" or "false"`)
}

func number(lowest, highest int32) func(string) (int32, error) {
	right := fmt.Errorf("must be a whole number from %d to %d", lowest, highest)
	if highest == math.MaxInt32 {
		right = fmt.Errorf("must be a whole number, %d or more", lowest)
	}
	return func(s string) (int32, error) {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil || n < int64(lowest) || n > int64(highest) {
			return 0, right
		}
		return int32(n), nil
	}
}

var (
	port     = number(1, 65535)
	positive = number(1, math.MaxInt32)
	natural  = number(0, math.MaxInt32)
	anyInt   = number(math.MinInt32, math.MaxInt32)
)

// duration stays in its author's words.
func duration(s string) (string, error) {
	s = strings.TrimSpace(s)
	if d, err := time.ParseDuration(s); err != nil || d < 0 {
		return "", errors.New("must be a duration such as 500ms, 5s or 1m")
	}
	return s, nil
}

// size stays in its author's words.
func size(s string) (string, error) {
	s = strings.TrimSpace(s)
	if _, err := quantity.Parse(s); err != nil {
		return "", errors.New("must be a number of bytes, or one with a suffix such as 4Ki or 16Mi")
	}
	return s, nil
}

func amount(s string) (resource.Quantity, error) {
	q, err := resource.ParseQuantity(strings.TrimSpace(s))
	if err != nil || q.Sign() < 0 {
		return resource.Quantity{}, errors.New("must be a Kubernetes quantity such as 100m, 0.5 or 250Mi")
	}
	return q, nil
}

// folder is where a volume can be mounted.
func folder(s string) (string, error) {
	if !path.IsAbs(s) || strings.Contains(s, ":") {
		return "", errors.New("must be an absolute path without a colon, such as /tmp/sockets")
	}
	return s, nil
}

// seccomp leaves out Localhost, which needs the name of a profile too.
func seccomp(s string) (corev1.SeccompProfileType, error) {
	p := corev1.SeccompProfileType(strings.TrimSpace(s))
	if p != corev1.SeccompProfileTypeRuntimeDefault && p != corev1.SeccompProfileTypeUnconfined {
		return "", errors.New("must be RuntimeDefault or Unconfined")
	}
	return p, nil
}

func list(s string) ([]string, error) {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(out, part) {
			out = append(out, part)
		}
	}
	return out, nil
}

var assignment = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// assignments splits NAME=VALUE,NAME=VALUE. A part without a name belongs to
// the value before it, because values may hold commas.
func assignments(s string) ([][2]string, error) {
	var out [][2]string
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		switch m := assignment.FindStringSubmatch(part); {
		case m != nil:
			out = append(out, [2]string{m[1], m[2]})
		case len(out) > 0:
			out[len(out)-1][1] += "," + part
		default:
			return nil, errors.New("must be NAME=VALUE,NAME=VALUE")
		}
	}
	return out, nil
}

func variables(s string) ([]corev1.EnvVar, error) {
	pairs, err := assignments(s)
	var out []corev1.EnvVar
	for _, p := range pairs {
		out = append(out, corev1.EnvVar{Name: p[0], Value: p[1]})
	}
	return out, err
}

// secretVariables reads NAME=SECRET:KEY; the key has the secret's name when it
// is left out.
func secretVariables(s string) ([]corev1.EnvVar, error) {
	pairs, err := assignments(s)
	if err != nil {
		return nil, errors.New("must be NAME=SECRET:KEY,NAME=SECRET")
	}
	var out []corev1.EnvVar
	for _, p := range pairs {
		name, key, both := strings.Cut(strings.TrimSpace(p[1]), ":")
		if !both {
			key = name
		}
		if name == "" || len(validation.IsConfigMapKey(key)) > 0 {
			return nil, fmt.Errorf("%s must be set to SECRET:KEY, or to SECRET when the key has its name", p[0])
		}
		out = append(out, fromSecret(p[0], name, key))
	}
	return out, nil
}

func fromSecret(variable, secret, key string) corev1.EnvVar {
	return corev1.EnvVar{Name: variable, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key,
	}}}
}

func mounts(readOnly bool) func(string) ([]corev1.VolumeMount, error) {
	return func(s string) ([]corev1.VolumeMount, error) {
		parts, _ := list(s)
		var out []corev1.VolumeMount
		for _, part := range parts {
			volume, at, _ := strings.Cut(part, ":")
			at, err := folder(strings.TrimSpace(at))
			if volume = strings.TrimSpace(volume); err != nil || volume == "" {
				return nil, errors.New("must be VOLUME:/PATH,VOLUME:/PATH")
			}
			out = append(out, corev1.VolumeMount{Name: volume, MountPath: at, ReadOnly: readOnly})
		}
		return out, nil
	}
}
