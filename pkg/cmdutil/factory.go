// Package cmdutil is what every command is made with: the Factory that hands
// over the world outside, status lines, tables, machine-readable output, and
// the errors that become exit codes.
package cmdutil

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/home"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

// Factory hands a command the world outside. What costs anything, or can fail,
// is a function: it is asked for only by the commands that need it, after the
// flags are known.
type Factory struct {
	IOStreams *iostreams.IOStreams
	Env       Env

	// LogAsJSON and RuntimePath are the flags every command has.
	LogAsJSON   bool
	RuntimePath string
	// Kubeconfig and KubeContext are the flags of ClusterFlags.
	Kubeconfig  string
	KubeContext string

	// Layout is the runtime folder: below --runtime-path, else below
	// DAPR_RUNTIME_PATH, else below the home folder.
	Layout func() (standalone.Layout, error)
	// TakeSignals hands the requests to end over to the caller. Until then the
	// first one cancels the command's context, and the second ends the program.
	TakeSignals func() <-chan os.Signal
	// Executable is the path of the running CLI, links followed.
	Executable func() (string, error)
	// Source is where the programs of this CLI come from.
	Source func() (standalone.Source, error)
	// Cluster is the Kubernetes cluster that the flags and the environment mean.
	// It has not been spoken to yet.
	Cluster func() (*kubernetes.Client, error)
	// ControlPlane is that of Cluster.
	ControlPlane func() (*controlplane.ControlPlane, error)
	// Now is the clock.
	Now func() time.Time
	// Status prints the lines that tell how a command gets on.
	Status *Printer
}

// NewFactory wires the real world to the given environment and streams.
func NewFactory(env Env, streams *iostreams.IOStreams) *Factory {
	f := &Factory{
		IOStreams:  streams,
		Env:        env,
		Executable: executable,
		Now:        time.Now,
		// Never ready: only a program's Main has signals to give.
		TakeSignals: func() <-chan os.Signal { return nil },
	}
	f.Source = f.source                                                       // reads Executable
	f.Layout = f.layout                                                       // reads Env, RuntimePath
	f.Cluster = f.cluster                                                     // reads Env, Kubeconfig, KubeContext
	f.ControlPlane = f.controlPlane                                           // reads Cluster
	f.Status = NewPrinter(streams, f.Now, func() bool { return f.LogAsJSON }) // reads LogAsJSON at every line
	return f
}

func (f *Factory) source() (standalone.Source, error) {
	path, err := f.Executable()
	if err != nil {
		return standalone.Source{}, err
	}
	return standalone.NewSource(path), nil
}

func (f *Factory) layout() (standalone.Layout, error) {
	parent := f.RuntimePath
	if parent == "" {
		parent = f.Env.Get("DAPR_RUNTIME_PATH")
	}
	if parent == "" {
		name := home.Variable(runtime.GOOS)
		if parent = f.Env.Get(name); parent == "" {
			return standalone.Layout{}, fmt.Errorf("no folder for the runtime: %s is not set; set it, or give --runtime-path", name)
		}
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return standalone.Layout{}, fmt.Errorf("runtime path: %w", err)
	}
	if info, err := os.Stat(parent); err == nil && !info.IsDir() {
		return standalone.Layout{}, fmt.Errorf("runtime path %s is not a folder", parent)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return standalone.Layout{}, fmt.Errorf("runtime path: %w", err)
	}
	return standalone.Layout{Root: filepath.Join(parent, standalone.FolderName)}, nil
}

func (f *Factory) cluster() (*kubernetes.Client, error) {
	return kubernetes.Connect(kubernetes.Options{
		Kubeconfig: f.Kubeconfig,
		Context:    f.KubeContext,
		Getenv:     f.Env.Get,
		Warn:       func(text string) { f.Status.Warning("The cluster warns: %s", text) },
	})
}

func (f *Factory) controlPlane() (*controlplane.ControlPlane, error) {
	cluster, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	return controlplane.Of(cluster), nil
}

// executable follows links, so that what lies beside the program is found when
// it was started through a link in a folder of the PATH.
func executable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's file: %w", err)
	}
	return filepath.EvalSymlinks(path)
}
