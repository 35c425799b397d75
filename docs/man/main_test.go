package main

import (
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// written returns the files below a folder by their slash-separated paths.
func written(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel := strings.TrimPrefix(filepath.ToSlash(strings.TrimPrefix(path, dir)), "/")
		files[rel] = string(text)
		return err
	}))
	return files
}

func TestPagesAndScripts(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run([]string{"-version", "1.2.3", "-date", "2001-02-03", "-out", dir}, io.Discard))
	files := written(t, dir)

	require.Contains(t, files["man1/dapr.1"], `.TH "DAPR" "1" "Feb 2001" "dapr 1.2.3"`)
	require.Contains(t, files["man1/dapr-run.1"], `\fB-p\fP, \fB--app-port\fP`)
	require.Contains(t, files["man1/dapr-image-save.1"], "dapr image save dapr.tar")
	for name, text := range files {
		require.NotContains(t, text, "Auto generated", "%s: it has the day it was written on", name)
	}
	require.NotContains(t, files, "man1/dapr-help.1")

	require.Contains(t, files["completions/bash/dapr"], "complete -o default -F __start_dapr dapr")
	require.True(t, strings.HasPrefix(files["completions/zsh/_dapr"], "#compdef dapr"))
	require.Contains(t, files["completions/fish/dapr.fish"], "complete -c dapr")
	require.Contains(t, files["completions/powershell/dapr.ps1"], "Register-ArgumentCompleter -CommandName 'dapr'")
}

// A package has each page as Debian's policy asks for it, and nothing in it tells
// when it was made.
func TestPackedPages(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run([]string{"-date", "2001-02-03", "-out", dir}, io.Discard))
	files := written(t, dir)
	packed := 0
	for name, text := range files {
		if !strings.HasPrefix(name, "man1/") {
			continue
		}
		r, err := gzip.NewReader(strings.NewReader(files["packed/"+name+".gz"]))
		require.NoError(t, err, name)
		require.True(t, r.ModTime.IsZero(), name)
		unpacked, err := io.ReadAll(r)
		require.NoError(t, err, name)
		require.Equal(t, text, string(unpacked), name)
		packed++
	}
	require.Greater(t, packed, 20)
}

// Homebrew installs the pages that it is told of, and those alone.
func TestHomebrewKnowsEveryPage(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run([]string{"-date", "2001-02-03", "-out", dir}, io.Discard))
	var pages []string
	for name := range written(t, filepath.Join(dir, "man1")) {
		pages = append(pages, "man/man1/"+name)
	}
	slices.Sort(pages)
	text, err := os.ReadFile("../../.goreleaser.yaml")
	require.NoError(t, err)
	var config struct {
		Casks []struct{ Manpages []string } `json:"homebrew_casks"`
	}
	require.NoError(t, yaml.Unmarshal(text, &config))
	require.Len(t, config.Casks, 1)
	require.Equal(t, pages, config.Casks[0].Manpages, "homebrew_casks in .goreleaser.yaml")
}

func TestTheSameCommandsMakeTheSameFiles(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		require.NoError(t, run([]string{"-date", "2001-02-03", "-out", dir}, io.Discard))
	}
	require.NotEmpty(t, written(t, first))
	require.Equal(t, written(t, first), written(t, second))
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	require.ErrorContains(t, run([]string{"-date", "2001-02-03"}, io.Discard), "-out is required")
	require.ErrorContains(t, run([]string{"-out", t.TempDir()}, io.Discard), `-date "" is no day such as 2026-01-31`)
}
