package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePageIsUpToDate(t *testing.T) {
	got, err := os.ReadFile(filepath.Join("..", "cli.md"))
	require.NoError(t, err)
	require.Equal(t, string(reference()), string(got), `docs/cli.md is out of date: run "make docs"`)
}
