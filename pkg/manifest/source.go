package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Limits of what is read from a URL.
const (
	downloadTimeout = 30 * time.Second
	downloadLimit   = 16 << 20
)

// extensions are those of manifests in a folder.
var extensions = []string{".yaml", ".yml", ".json"}

// Read reads the documents of a source: "-" for stdin, the http or https URL of
// a file, a file, or a folder with all below it.
func Read(ctx context.Context, source string, stdin io.Reader) ([]*Document, error) {
	switch {
	case source == "-":
		text, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return parseSome("standard input", text)
	case isURL(source):
		text, err := download(ctx, source)
		if err != nil {
			return nil, err
		}
		return parseSome(source, text)
	}
	info, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s: give a file, a folder, a URL, or - for standard input", source)
	case err != nil:
		return nil, err
	case info.IsDir():
		return readFolder(source)
	}
	return readFile(source)
}

func isURL(source string) bool {
	u, err := url.Parse(source)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// parseSome refuses a source without any document: nobody means that.
func parseSome(source string, text []byte) ([]*Document, error) {
	docs, err := Parse(source, text)
	if err == nil && len(docs) == 0 {
		err = fmt.Errorf("%s is empty", source)
	}
	return docs, err
}

func readFile(path string) ([]*Document, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseSome(path, text)
}

func readFolder(folder string) ([]*Document, error) {
	var docs []*Document
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains(extensions, strings.ToLower(filepath.Ext(path))) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		more, err := Parse(path, text)
		docs = append(docs, more...)
		return err
	})
	if err == nil && len(docs) == 0 {
		err = fmt.Errorf("folder %s has no manifest: no file %s in it", folder, strings.Join(extensions, ", "))
	}
	return docs, err
}

func download(ctx context.Context, source string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, err // names the URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", source, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, downloadLimit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", source, err)
	case len(text) > downloadLimit:
		return nil, fmt.Errorf("%s is larger than %d MB: no manifest is", source, downloadLimit>>20)
	}
	return text, nil
}
