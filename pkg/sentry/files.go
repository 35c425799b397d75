package sentry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hyperdapr/dapr/pkg/atomicfile"
	"github.com/hyperdapr/dapr/pkg/filelock"
)

// fileStore keeps the material as files in one folder.
type fileStore struct {
	dir   string
	names names
}

func (s fileStore) load(_ context.Context, complete func(material) (material, bool, error)) (material, error) {
	have, err := s.read()
	if err != nil {
		return material{}, err
	}
	m, changed, err := complete(have)
	if err != nil {
		return material{}, fmt.Errorf("folder %s: %w", s.dir, err)
	}
	if !changed {
		return m, nil // needs no right to write
	}
	return s.create(complete)
}

// create is load for one process at a time.
func (s fileStore) create(complete func(material) (material, bool, error)) (m material, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep the trust bundle in %s: %w; choose a folder that can be written with --issuer-credentials", s.dir, err)
		}
	}()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return m, err
	}
	release, err := filelock.Acquire(filepath.Join(s.dir, ".lock"))
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, release()) }()
	have, err := s.read()
	if err != nil {
		return m, err
	}
	m, changed, err := complete(have)
	if err != nil || !changed {
		return m, err
	}
	return m, s.write(m)
}

func (s fileStore) read() (m material, err error) {
	for _, part := range s.parts(&m) {
		*part.data, err = os.ReadFile(filepath.Join(s.dir, part.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return m, fmt.Errorf("read the trust bundle in --issuer-credentials: %w", err)
		}
	}
	return m, nil
}

func (s fileStore) write(m material) error {
	for _, part := range s.parts(&m) {
		if len(*part.data) == 0 {
			continue
		}
		if err := atomicfile.WriteFile(filepath.Join(s.dir, part.name), *part.data, part.mode); err != nil {
			return err
		}
	}
	return nil
}

type part struct {
	name string
	data *[]byte
	mode fs.FileMode
}

func (s fileStore) parts(m *material) []part {
	return []part{
		{s.names.anchors, &m.Anchors, 0o644}, {s.names.issuer, &m.Issuer, 0o644}, {s.names.key, &m.Key, 0o600},
		{s.names.jwtKey, &m.JWTKey, 0o600}, {s.names.jwks, &m.JWKS, 0o644},
	}
}
