package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePagesAreUpToDate(t *testing.T) {
	for path, want := range map[string][]byte{page: reference(), annotationsPage: annotations()} {
		got, err := os.ReadFile(filepath.Join("..", "..", path))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), `%s is out of date: run "make docs"`, path)
	}
}
