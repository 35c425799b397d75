// Command packchart writes the Helm chart as the archive that Helm installs,
// with the build's version in it (see package embed):
//
//	go run ./embed/packchart -version 1.2.3 -time 2026-01-31T12:00:00Z -out bin/release/dapr_chart.tgz
//
// "helm package" would do the same but for the time, which is that of the
// packing: one commit has one archive.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/atomicfile"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "packchart:", err)
		os.Exit(1)
	}
}

func run(args []string, errOut io.Writer) error {
	flags := flag.NewFlagSet("packchart", flag.ContinueOnError)
	flags.SetOutput(errOut)
	version := flags.String("version", unstamped, "version of the chart and of the image that it installs")
	changed := flags.String("time", "", "time of every file in the archive, such as 2026-01-31T12:00:00Z (required)")
	out := flags.String("out", "", "file to write (required)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" {
		return errors.New("-out is required")
	}
	day, err := time.Parse(time.RFC3339, *changed)
	if err != nil {
		return fmt.Errorf("-time %q is no time such as 2026-01-31T12:00:00Z", *changed)
	}
	var b bytes.Buffer
	if err := pack(&b, embed.Chart(), *version, day); err != nil {
		return err
	}
	return atomicfile.WriteFile(*out, b.Bytes(), 0o644)
}

// unstamped is the version that stands in the chart's files.
const unstamped = "edge"

// pack writes the archive: a folder with the chart's name, as Helm wants it.
func pack(w io.Writer, chart fs.FS, version string, day time.Time) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	// In the order of the names: one content has one archive.
	err := fs.WalkDir(chart, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(chart, file)
		if err != nil {
			return err
		}
		if text, err = stamp(file, text, version); err != nil {
			return err
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join("dapr", file), Mode: 0o644,
			Size: int64(len(text)), ModTime: day, Uname: "root", Gname: "root",
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(archive.Close(), zipped.Close())
}

// stamp puts the version where the chart's files have the one that is no
// release: in every Chart.yaml, and in the default tag of the image. Nothing
// else of them changes, least of all their comments.
func stamp(file string, text []byte, version string) ([]byte, error) {
	if version == unstamped {
		return text, nil
	}
	var lines []string
	switch {
	case path.Base(file) == "Chart.yaml":
		lines = []string{"version: 0.0.0-", "appVersion: "}
	case file == "values.yaml":
		lines = []string{"  tag: "}
	}
	for _, line := range lines {
		old := []byte(line + unstamped + "\n")
		if !bytes.Contains(text, old) {
			return nil, fmt.Errorf("%s has no line %q", file, bytes.TrimSpace(old))
		}
		text = bytes.ReplaceAll(text, old, []byte(strings.TrimSuffix(line, "0.0.0-")+version+"\n"))
	}
	return text, nil
}
