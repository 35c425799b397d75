// Command man writes what a package of the CLI carries beside the program: its
// man pages and the scripts that complete it in a shell, out of the commands
// themselves:
//
//	go run ./docs/man -version 1.2.3 -date 2026-01-31 -out bin/share
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/hyperdapr/dapr/pkg/atomicfile"
	"github.com/hyperdapr/dapr/pkg/cmd/root"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
)

// scripts are the completion scripts, each under the name by which its shell
// finds it.
var scripts = []struct{ shell, file string }{
	{"bash", "dapr"},
	{"zsh", "_dapr"},
	{"fish", "dapr.fish"},
	{"powershell", "dapr.ps1"},
}

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

func run(args []string, errOut io.Writer) error {
	flags := flag.NewFlagSet("man", flag.ContinueOnError)
	flags.SetOutput(errOut)
	version := flags.String("version", "edge", "version that the pages name")
	// Not the day they are written on: one commit has one set of pages.
	date := flags.String("date", "", "day that the pages name, such as 2026-01-31 (required)")
	out := flags.String("out", "", "folder to write man1/, packed/man1/ and completions/ to (required)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" {
		return errors.New("-out is required")
	}
	day, err := time.Parse(time.DateOnly, *date)
	if err != nil {
		return fmt.Errorf("-date %q is no day such as 2026-01-31", *date)
	}
	pages := filepath.Join(*out, "man1")
	if err := writePages(pages, *version, day); err != nil {
		return err
	}
	if err := packPages(pages, filepath.Join(*out, "packed", "man1")); err != nil {
		return err
	}
	return writeScripts(filepath.Join(*out, "completions"))
}

// writePages writes one page for each command that the help shows.
func writePages(dir, version string, day time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	streams, _, _, _ := iostreams.Test()
	cmd := root.NewCmdRoot(cmdutil.NewFactory(nil, streams))
	cmd.Long = "" // a page has no fixed width, which the banner needs
	asPages(cmd)
	// The page of "help" would say what every other page says.
	cmd.SetHelpCommand(&cobra.Command{Hidden: true})
	return doc.GenManTree(cmd, &doc.GenManHeader{
		Section: "1", Date: &day, Source: "dapr " + version, Manual: "Dapr",
	}, dir)
}

// packPages compresses the pages, as systems with packages want them. One page
// has one form: no name and no time stands in it.
func packPages(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	pages, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(from, page.Name()))
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return errors.Join(err, w.Close())
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := atomicfile.WriteFile(filepath.Join(to, page.Name()+".gz"), packed.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// asPages takes from the texts what a page's markup would read as its own.
func asPages(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true // it has the day of writing
	cmd.Long = markup.Replace(cmd.Long)
	for _, sub := range cmd.Commands() {
		asPages(sub)
	}
}

var markup = strings.NewReplacer("<", `\<`, ">", `\>`, "*", `\*`, "_", `\_`)

func writeScripts(dir string) error {
	for _, s := range scripts {
		script, err := completion(s.shell)
		if err != nil {
			return fmt.Errorf("write the script for %s: %w", s.shell, err)
		}
		// A folder each: bash's has the name of the program and no more.
		folder := filepath.Join(dir, s.shell)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := atomicfile.WriteFile(filepath.Join(folder, s.file), script, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// completion returns what "dapr completion SHELL" prints.
func completion(shell string) ([]byte, error) {
	streams, _, out, _ := iostreams.Test()
	cmd, _, err := root.NewCmdRoot(cmdutil.NewFactory(nil, streams)).Find([]string{"completion", shell})
	if err != nil {
		return nil, err
	}
	if err := cmd.RunE(cmd, nil); err != nil {
		return nil, err
	}
	return []byte(out.String()), nil
}
