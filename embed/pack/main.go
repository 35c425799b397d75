// Command pack compresses programs for the CLI to carry (see package embed):
//
//	go run ./embed/pack -version 1.2.3 -out embed/payload/linux_amd64 bin/daprd bin/controlplane
//
// What has not changed since the last time is left alone, so that the CLI is
// not linked again for nothing.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/atomicfile"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string, errOut io.Writer) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	flags.SetOutput(errOut)
	version := flags.String("version", "edge", "version of the programs")
	out := flags.String("out", "", "folder to write to (required)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() == 0 {
		return errors.New("-out and at least one program are required")
	}
	return pack(*out, *version, flags.Args())
}

func pack(out, version string, files []string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	old, err := readManifest(out)
	if err != nil {
		return err
	}
	programs := make([]embed.Program, len(files))
	var group errgroup.Group
	for i, file := range files {
		group.Go(func() (err error) {
			programs[i], err = packProgram(out, file, old)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	manifest := embed.Manifest{Version: version, Programs: programs}
	if old.Version == manifest.Version && slices.Equal(old.Programs, manifest.Programs) {
		return nil
	}
	data, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(out, embed.ManifestFile), append(data, '\n'), 0o644)
}

// readManifest returns what was packed before. A manifest that cannot be read
// only costs the time to pack again.
func readManifest(out string) (embed.Manifest, error) {
	data, err := os.ReadFile(filepath.Join(out, embed.ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return embed.Manifest{}, nil
	}
	if err != nil {
		return embed.Manifest{}, err
	}
	var m embed.Manifest
	_ = json.Unmarshal(data, &m)
	return m, nil
}

func packProgram(out, file string, old embed.Manifest) (embed.Program, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return embed.Program{}, err
	}
	sum := sha256.Sum256(data)
	p := embed.Program{
		Name:   strings.TrimSuffix(filepath.Base(file), ".exe"),
		Size:   int64(len(data)),
		SHA256: hex.EncodeToString(sum[:]),
	}
	packed := filepath.Join(out, embed.PackedFile(p.Name))
	if _, err := os.Stat(packed); err == nil && slices.Contains(old.Programs, p) {
		return p, nil
	}
	var b bytes.Buffer
	// Packed once a build and by machines; every user downloads the result.
	w, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return embed.Program{}, err
	}
	if _, err := w.Write(data); err != nil {
		return embed.Program{}, errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return embed.Program{}, err
	}
	return p, atomicfile.WriteFile(packed, b.Bytes(), 0o644)
}
