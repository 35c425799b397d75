// Package golden compares what a program prints with what it printed when
// somebody last looked at it and found it right:
//
//	go test ./pkg/cmd/root -update
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// update is a flag of every test binary that imports this package.
var update = flag.Bool("update", false, "write the golden files anew")

// Equal fails the test when got is not what testdata/name holds, below the
// folder of the calling test.
func Equal(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := write(path, got); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test once with -update, and read what it wrote", err)
	}
	if string(want) != got {
		t.Errorf("%s differs; when what is printed now is right, run the test with -update\n--- want\n%s\n--- got\n%s", path, want, got)
	}
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
