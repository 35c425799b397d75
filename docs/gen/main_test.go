package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePagesAreUpToDate(t *testing.T) {
	root := filepath.Join("..", "..")
	all, err := pages(os.DirFS(root))
	require.NoError(t, err)
	for path, want := range all {
		got, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), `%s is out of date: run "make docs"`, path)
	}
}
