// Package image is the command "dapr image".
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/image"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type imageOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	source  func() (standalone.Source, error)

	// target is a file for save, a registry for push.
	target    string
	registry  string
	plainHTTP bool
	binDir    string
}

// NewCmdImage returns the command with its two subcommands.
func NewCmdImage(f *cmdutil.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build the runtime's container image",
		Long: `Build the container image of the runtime: the sidecar and the services of the
control plane, out of the programs that this program carries. No container
engine is needed, and nothing is downloaded.

A released dapr carries the programs for Linux on amd64 and arm64, whatever it
runs on itself. To take others, say with --bin-dir where they are: in the folders
linux_amd64 and linux_arm64 there, as "make cross" writes them, or in the folder
itself. The same programs always make the same image.`,
		Example: `  dapr image save dapr.tar
  dapr image push registry.example.com/team`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(NewCmdSave(f, nil), NewCmdPush(f, nil))
	return cmd
}

// NewCmdSave returns the command "dapr image save". runF, when not nil, runs in
// its place.
func NewCmdSave(f *cmdutil.Factory, runF func(context.Context, *imageOptions) error) *cobra.Command {
	if runF == nil {
		runF = saveRun
	}
	opts := newOptions(f)
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Write the image into a file",
		Long: `Write the image into a file, which the tools of containers import: "ctr images
import", "nerdctl load", "docker load", "podman load". With - it goes to standard
output.`,
		Example: `  dapr image save dapr.tar
  dapr image save - | docker load

  # For the nodes of a cluster that takes its images from this registry
  dapr image save dapr.tar --registry registry.example.com/team`,
		Args: oneArg("FILE", "the file to write, or - for standard output"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.target = args[0]
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.registry, "registry", image.DefaultRegistry, "Registry in the image's name")
	opts.binDirFlag(cmd)
	return cmd
}

// NewCmdPush returns the command "dapr image push". runF, when not nil, runs in
// its place.
func NewCmdPush(f *cmdutil.Factory, runF func(context.Context, *imageOptions) error) *cobra.Command {
	if runF == nil {
		runF = pushRun
	}
	opts := newOptions(f)
	cmd := &cobra.Command{
		Use:   "push REGISTRY",
		Short: "Bring the image into a registry",
		Long: `Bring the image into a registry, as REGISTRY/dapr:VERSION. Log in first with any
tool that writes ~/.docker/config.json. A cluster without access to the internet
is then installed into with "dapr init --kubernetes --image-registry REGISTRY".`,
		Example: `  dapr image push registry.example.com/team
  dapr init --kubernetes --image-registry registry.example.com/team`,
		Args: oneArg("REGISTRY", "its host and path, such as registry.example.com/team"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.registry = args[0]
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.plainHTTP, "insecure", false, "Speak to the registry without TLS")
	opts.binDirFlag(cmd)
	return cmd
}

func newOptions(f *cmdutil.Factory) *imageOptions {
	return &imageOptions{streams: f.IOStreams, status: f.Status, source: f.Source}
}

func (opts *imageOptions) binDirFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&opts.binDir, "bin-dir", "", "Folder with the programs for Linux (default: those of this program)")
	_ = cmd.MarkFlagDirname("bin-dir") // it was defined above
}

func oneArg(what, is string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return cmdutil.FlagErrorf("%s takes one argument, %s: %s; it got %d", cmd.CommandPath(), what, is, len(args))
		}
		return nil
	}
}

func saveRun(_ context.Context, opts *imageOptions) error {
	ref, index, err := opts.build()
	if err != nil {
		return err
	}
	if opts.target == "-" {
		if err := image.Save(opts.streams.Out, ref, index); err != nil {
			return err
		}
		return opts.warnOfMissing(opts.streams.ErrOut, index)
	}
	done := opts.status.Spin("Writing " + opts.target)
	err = saveFile(opts.target, ref, index)
	done(err)
	if err != nil {
		return err
	}
	return opts.report("Wrote", ref, index)
}

// saveFile writes beside the file first: an older one is replaced as a whole.
func saveFile(path string, ref name.Tag, index v1.ImageIndex) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := image.Save(f, ref, index); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Chmod(0o644); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func pushRun(ctx context.Context, opts *imageOptions) error {
	ref, index, err := opts.build()
	if err != nil {
		return err
	}
	done := opts.status.Spin("Sending " + ref.String())
	err = image.Push(ctx, ref, index)
	done(err)
	if err != nil {
		return err
	}
	return opts.report("Sent", ref, index)
}

// build makes the image. Nothing goes to the output yet: it may be the image's.
func (opts *imageOptions) build() (name.Tag, v1.ImageIndex, error) {
	ref, err := image.Reference(opts.registry, opts.plainHTTP)
	if err != nil {
		return ref, nil, err
	}
	programs, err := opts.programs()
	if err != nil {
		return ref, nil, err
	}
	index, err := image.Build(programs)
	return ref, index, err
}

func (opts *imageOptions) programs() ([]image.Programs, error) {
	if opts.binDir != "" {
		all, err := image.In(opts.binDir)
		if err != nil {
			return nil, fmt.Errorf("--bin-dir: %w", err)
		}
		return all, nil
	}
	source, err := opts.source()
	if err != nil {
		return nil, err
	}
	if len(source.LinuxPayloads) == 0 {
		return []image.Programs{source.Open}, nil
	}
	all := make([]image.Programs, 0, len(source.LinuxPayloads))
	for _, payload := range source.LinuxPayloads {
		all = append(all, func(program string) (io.ReadCloser, error) { return embed.Open(payload, program) })
	}
	return all, nil
}

func (opts *imageOptions) report(did string, ref name.Tag, index v1.ImageIndex) error {
	architectures, err := image.Architectures(index)
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	opts.status.Success("%s %s for linux/%s", did, ref, strings.Join(architectures, " and linux/"))
	opts.status.Info("Digest: %s", digest)
	return opts.warnOfMissing(opts.streams.Out, index)
}

// warnOfMissing names the nodes that cannot run the image. Whoever pushes one
// half finds out otherwise when a pod on such a node does not start.
func (opts *imageOptions) warnOfMissing(w io.Writer, index v1.ImageIndex) error {
	architectures, err := image.Architectures(index)
	if err != nil {
		return err
	}
	for _, wanted := range []string{"amd64", "arm64"} {
		if slices.Contains(architectures, wanted) {
			continue
		}
		why := "this dapr carries no programs for them; a released one does, or say with --bin-dir where some are"
		if opts.binDir != "" {
			why = "there are no programs for them in " + filepath.Join(opts.binDir, "linux_"+wanted)
		}
		opts.status.Line(w, cmdutil.Warning, fmt.Sprintf("Nodes of the architecture %s cannot run this image: %s", wanted, why))
	}
	return nil
}
