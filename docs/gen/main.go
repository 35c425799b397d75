// Command gen writes the references of docs/ from what they are about: cli.md
// from the commands, daprd.md from the sidecar's flags, annotations.md from the
// table of pkg/inject, resources.md from the types of pkg/resource:
//
//	go run ./docs/gen
package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hyperdapr/dapr/pkg/atomicfile"
	"github.com/hyperdapr/dapr/pkg/cmd/root"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
)

// page is relative to the root of the project.
const page = "docs/cli.md"

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write() error {
	all, err := pages(os.DirFS("."))
	if err != nil {
		return err
	}
	for path, text := range all {
		if err := atomicfile.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages are all generated pages by their paths.
func pages(root fs.FS) (map[string][]byte, error) {
	resources, err := resources(root)
	if err != nil {
		return nil, err
	}
	daprd, err := daprd()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{page: reference(), annotationsPage: annotations(), resourcesPage: resources, daprdPage: daprd}, nil
}

const intro = `<!-- Written by "make docs" from the commands themselves: change those. -->

# The command dapr

Every flag may also be set by an environment variable, the one its table names,
or in the file ` + "`cli.yaml`" + ` in the runtime's folder (` + "`~/.dapr`" + `), by its name, for all
commands or for one:

` + "```yaml" + `
log-as-json: true
run:
  log-level: debug
` + "```" + `

The command line goes before the environment, and the environment before the
file; an empty variable counts as none. The variables that the runtime gives to apps, such as ` + "`DAPR_HTTP_PORT`" + ` and
` + "`DAPR_METRICS_PORT`" + `, set no flag: a ` + "`dapr`" + ` started by an app does not take the
app's ports for its own.

Exit codes: 0, 1 when a command failed, 130 when it was interrupted, 255 when it
was used wrongly. ` + "`dapr run`" + ` ends with the code of the app.
`

// reference is the whole page.
func reference() []byte {
	streams, _, _, _ := iostreams.Test()
	cmd := root.NewCmdRoot(cmdutil.NewFactory(nil, streams))
	var b bytes.Buffer
	b.WriteString(intro)
	b.WriteString("\n## Flags of every command\n\n")
	writeFlags(&b, cmd.PersistentFlags())
	for _, sub := range cmd.Commands() {
		writeCommand(&b, sub)
	}
	trimEnd(&b)
	return b.Bytes()
}

func writeCommand(b *bytes.Buffer, cmd *cobra.Command) {
	if !cmd.IsAvailableCommand() {
		return
	}
	trimEnd(b)
	fmt.Fprintf(b, "\n## %s\n\n", cmd.CommandPath())
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(b, "%s\n\n", strings.TrimSpace(text))
	if cmd.Runnable() {
		fmt.Fprintf(b, "    %s\n\n", cmd.UseLine())
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "Examples:\n\n```sh\n%s\n```\n\n", unindent(cmd.Example))
	}
	writeFlags(b, cmd.NonInheritedFlags())
	for _, sub := range cmd.Commands() {
		writeCommand(b, sub)
	}
}

func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	header := "| flag | default | environment | meaning |\n|---|---|---|---|\n"
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name += ", `-" + f.Shorthand + "`"
		}
		b.WriteString(header)
		header = ""
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, code(f.DefValue), code(cmdutil.EnvName(f)), escape(f.Usage))
	})
}

// code is a value of a table's cell; an empty one stays empty.
func code(s string) string {
	if s == "" || s == "[]" {
		return ""
	}
	return "`" + escape(s) + "`"
}

func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// unindent takes off the two blanks that examples have in the help.
func unindent(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// trimEnd leaves one line break at the end.
func trimEnd(b *bytes.Buffer) {
	b.Truncate(len(bytes.TrimRight(b.Bytes(), "\n")))
	b.WriteByte('\n')
}
