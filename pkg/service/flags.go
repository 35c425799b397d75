package service

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/telemetry"
	"github.com/hyperdapr/dapr/pkg/version"
)

// UsageError is a command line that cannot be understood; the process ends with
// exit code 2.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

// Usagef returns a *UsageError: one line that names the flag, its value and the
// fix.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// ExitCode is 0 without an error, 2 for a command line that cannot be
// understood and 1 for everything else.
func ExitCode(err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return 2
	}
	return 1
}

// Port adds a flag for a TCP port, from 0, which takes a free one, to 65535.
func Port(fs *pflag.FlagSet, name string, value int, usage string) *int {
	p := port(value)
	fs.Var(&p, name, usage)
	return (*int)(&p)
}

type port int

func (p *port) String() string { return strconv.Itoa(int(*p)) }
func (*port) Type() string     { return "port" }

func (p *port) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 65535 {
		return errors.New("must be a port number from 0 to 65535")
	}
	*p = port(n)
	return nil
}

// flags are what every service has.
type flags struct {
	level            slog.Level
	logAsJSON        bool
	enableMetrics    bool
	metricsPort      int
	metricsPortGiven bool
	metricsAddress   string
	healthzPort      int
	healthzAddress   string
	warnings         []string
}

// answerError is a command line that asks for a text instead of a service.
type answerError struct{ text string }

func (*answerError) Error() string { return "an answer was asked for" }

func parse(o Options, define func(*pflag.FlagSet) Body) (*flags, Body, error) {
	c := &flags{}
	fs := pflag.NewFlagSet(o.Name, pflag.ContinueOnError)
	fs.Usage = func() {} // Run prints it, once and to the right stream
	logLevel := fs.String("log-level", "info", "debug, info, warn, error or fatal")
	fs.BoolVar(&c.logAsJSON, "log-as-json", false, "write logs as JSON")
	fs.BoolVar(&c.enableMetrics, "enable-metrics", true, "serve Prometheus metrics")
	metricsPort := Port(fs, "metrics-port", 9090, "port of the metrics server")
	fs.StringVar(&c.metricsAddress, "metrics-listen-address", "0.0.0.0", "address of the metrics server")
	healthzPort := Port(fs, "healthz-port", 8080, "port of the healthz server")
	fs.StringVar(&c.healthzAddress, "healthz-listen-address", "", "address of the healthz server; none: all")
	printVersion := fs.Bool("version", false, "print the version")
	buildInfo := fs.Bool("build-info", false, "print the build")
	body := define(fs)
	for _, name := range o.NotBuilt {
		fs.Lookup(name).Usage = "part of the protocol, not built yet"
	}

	switch err := fs.Parse(twoDashes(o.Args)); {
	case errors.Is(err, pflag.ErrHelp):
		about := o.About
		if about == "" {
			about = fmt.Sprintf("%s is a service of the control plane.", o.Name)
		}
		return nil, nil, &answerError{fmt.Sprintf("%s\n\nUsage:\n  %s [flags]\n\nFlags:\n%s", about, o.Name, fs.FlagUsages())}
	case err != nil:
		return nil, nil, usage(fs, err)
	case fs.NArg() > 0:
		return nil, nil, Usagef("unexpected argument %q: %s takes flags only; run %[2]s --help for them", fs.Arg(0), o.Name)
	case *printVersion:
		return nil, nil, &answerError{version.Version() + "\n"}
	case *buildInfo:
		return nil, nil, &answerError{fmt.Sprintf("Version: %s\nGit Commit: %s\nGit Version: %s\n", version.Version(), version.Commit(), version.GitVersion())}
	}

	c.metricsPort, c.metricsPortGiven, c.healthzPort = *metricsPort, fs.Changed("metrics-port"), *healthzPort
	for _, name := range o.NotBuilt {
		if f := fs.Lookup(name); f.Changed && f.Value.String() != f.DefValue {
			c.warnings = append(c.warnings, fmt.Sprintf("flag --%s is accepted, but what it configures is not built yet: it has no effect", name))
		}
	}
	var err error
	if c.level, err = telemetry.ParseLevel(*logLevel); err != nil {
		return nil, nil, Usagef("--log-level: %v", err)
	}
	return c, body, nil
}

// twoDashes gives long flags the second dash: some services' users write one.
func twoDashes(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if len(a) > 2 && a[0] == '-' && a[1] != '-' && !strings.ContainsAny(a[1:2], "0123456789") {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}

func usage(fs *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		name := strings.TrimLeft(unknown.GetSpecifiedName(), "-")
		if n := nearest.Name(name, names); n != "" {
			return Usagef("unknown flag --%s; did you mean --%s?", name, n)
		}
		return Usagef("unknown flag --%s; run %s --help for the flags", name, fs.Name())
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return Usagef("--%s %q: %v", invalid.GetFlag().Name, invalid.GetValue(), errors.Unwrap(invalid))
	}
	return Usagef("%v", err)
}
