package image

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Programs opens a program of one platform by its name. A *fs.PathError tells
// which file there is not.
type Programs func(program string) (io.ReadCloser, error)

// machines are the processors that images are built for, in Go's words.
var machines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// read returns a program and the processor it is for.
func (p Programs) read(program string) (content []byte, architecture string, err error) {
	r, err := p(program)
	if err != nil {
		return nil, "", fmt.Errorf("find the program %s for Linux: %w; build it, and say where with --bin-dir", program, err)
	}
	defer r.Close()
	if content, err = io.ReadAll(r); err != nil {
		return nil, "", fmt.Errorf("read the program %s: %w", program, err)
	}
	architecture, err = check(content)
	if err != nil {
		return nil, "", fmt.Errorf("the program %s %w", program, err)
	}
	return content, architecture, nil
}

// check tells which processor a program is for. One that needs anything beside
// itself would end at once in an image that holds nothing else.
func check(program []byte) (architecture string, err error) {
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", errors.New("is not one for Linux: build one with GOOS=linux, and say where it is with --bin-dir")
	}
	architecture, known := machines[file.Machine]
	if !known {
		return "", fmt.Errorf("is for another processor than amd64 and arm64: %s", file.Machine)
	}
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			return "", errors.New("needs libraries that the image does not hold: build it with CGO_ENABLED=0")
		}
	}
	return architecture, nil
}

// In finds programs in a folder: those of several platforms in its folders
// linux_amd64 and linux_arm64, or else those of one in itself.
func In(folder string) ([]Programs, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: folder, Err: errors.New("it is not a folder")}
	}
	var all []Programs
	for _, platform := range []string{"linux_amd64", "linux_arm64"} {
		below := filepath.Join(folder, platform)
		if info, err := os.Stat(below); err == nil && info.IsDir() {
			all = append(all, beside(below))
		}
	}
	if len(all) == 0 {
		all = append(all, beside(folder))
	}
	return all, nil
}

func beside(folder string) Programs {
	return func(program string) (io.ReadCloser, error) { return os.Open(filepath.Join(folder, program)) }
}
