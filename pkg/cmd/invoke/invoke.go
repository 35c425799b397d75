// Package invoke is the command "dapr invoke".
package invoke

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type invokeOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	layout  func() (standalone.Layout, error)

	call     standalone.Call
	data     string
	dataFile string
}

// NewCmdInvoke returns the command. runF, when not nil, runs in its place.
func NewCmdInvoke(f *cmdutil.Factory, runF func(context.Context, *invokeOptions) error) *cobra.Command {
	if runF == nil {
		runF = invokeRun
	}
	opts := &invokeOptions{streams: f.IOStreams, status: f.Status, layout: f.Layout}
	cmd := &cobra.Command{
		Use:   "invoke",
		Short: "Call a method of an app that runs on this machine",
		Long: `Call a method of an app that runs on this machine, through the app's own
sidecar. The body is sent as JSON; the answer's body is printed.`,
		Example: `  # POST to /neworder of the app nodeapp
  dapr invoke --app-id nodeapp --method neworder --data '{"data":{"orderId":42}}'

  # GET with a query
  dapr invoke --app-id nodeapp --method 'order?id=42' --verb GET

  # A body from a file, or from standard input with -
  dapr invoke --app-id nodeapp --method neworder --data-file order.json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("data") && cmd.Flags().Changed("data-file") {
				return cmdutil.FlagErrorf("--data and --data-file are both given: choose one")
			}
			opts.call.Token = f.Env.Get("DAPR_API_TOKEN")
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.call.AppID, "app-id", "a", "", "Id of the app (required)")
	flags.StringVarP(&opts.call.Method, "method", "m", "", "Method to call: the path in the app, with its query (required)")
	flags.StringVarP(&opts.data, "data", "d", "", "Body to send")
	flags.StringVarP(&opts.dataFile, "data-file", "f", "", "File with the body to send, or - for standard input")
	flags.StringVarP(&opts.call.Verb, "verb", "v", "POST", "HTTP verb")
	flags.StringVarP(&opts.call.SocketDir, "unix-domain-socket", "u", "", "Folder of the sidecar's unix domain sockets")
	for _, required := range []string{"app-id", "method"} {
		_ = cmd.MarkFlagRequired(required) // both were defined above
	}
	_ = cmd.RegisterFlagCompletionFunc("app-id", cmdutil.CompleteAppIDs(f))
	_ = cmd.RegisterFlagCompletionFunc("verb", cobra.FixedCompletions(
		[]cobra.Completion{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func invokeRun(ctx context.Context, opts *invokeOptions) error {
	l, err := opts.layout()
	if err != nil {
		return err
	}
	if opts.call.Data, err = body(opts); err != nil {
		return err
	}
	answer, err := standalone.Invoke(ctx, l, opts.call)
	if err != nil {
		return err
	}
	defer answer.Close()
	n, err := io.Copy(opts.streams.Out, answer)
	if err != nil {
		return fmt.Errorf("error invoking app %s: read the answer: %w", opts.call.AppID, err)
	}
	if n > 0 {
		fmt.Fprintln(opts.streams.Out)
	}
	opts.status.Success("App invoked successfully")
	return nil
}

func body(opts *invokeOptions) ([]byte, error) {
	switch opts.dataFile {
	case "":
		return []byte(opts.data), nil
	case "-":
		data, err := io.ReadAll(opts.streams.In)
		if err != nil {
			return nil, fmt.Errorf("read the body from standard input: %w", err)
		}
		return data, nil
	default:
		data, err := os.ReadFile(opts.dataFile)
		if err != nil {
			return nil, fmt.Errorf("--data-file: %w", err)
		}
		return data, nil
	}
}
