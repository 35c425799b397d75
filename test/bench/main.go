// Command bench measures the sidecar beside two plain servers that do the same
// work without it, all of them processes of their own, and prints one report.
//
//	go run ./test/bench [-daprd bin/daprd] [-duration 3s] [-connections 1,32]
//
// CPU is the time that the measured processes used, by the kernel's account; the
// load generator's own is not counted.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	// A child is told to end when the thread that started it does: that thread
	// must be one that lives as long as the process.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	daprd       string
	duration    time.Duration
	connections []int
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	var connections, role, target string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.daprd, "daprd", "bin/daprd", "the sidecar's program")
	flags.DurationVar(&o.duration, "duration", 3*time.Second, "how long each row is measured")
	flags.StringVar(&connections, "connections", "1,32", "numbers of connections to measure with")
	flags.StringVar(&role, "role", "", "what a child process is: app, bare or proxy")
	flags.StringVar(&target, "target", "", "where the proxy sends requests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if role != "" {
		return serve(ctx, role, target, out)
	}
	for field := range strings.SplitSeq(connections, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return fmt.Errorf("-connections: %q is not a positive number", field)
		}
		o.connections = append(o.connections, n)
	}
	if _, err := os.Stat(o.daprd); err != nil {
		return fmt.Errorf("%w: run make build first", err)
	}
	r, err := measure(ctx, o, progress)
	if err != nil {
		return err
	}
	return r.write(out)
}
