package standalone

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// process is a program of a run, with its output under way to somewhere.
type process struct {
	cmd *exec.Cmd
	// done is closed when the program has ended and was collected.
	done chan struct{}
	// state is how it ended; read it only after done.
	state  *os.ProcessState
	output sync.WaitGroup
}

// launch starts cmd under the guard and copies its output to the writers. Without
// a second one both outputs go to the first, in the order they were written.
//
// The pipes are our own, because exec.Cmd's would make Wait last as long as any
// descendant holds them open: a daemon left by the app would hide the app's end.
func launch(g *guard, of part, cmd *exec.Cmd, stdout, stderr io.Writer) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	errR, errW := outR, outW
	if stderr != nil {
		if errR, errW, err = os.Pipe(); err != nil {
			return nil, errors.Join(fmt.Errorf("make a pipe: %w", err), outR.Close(), outW.Close())
		}
	}
	cmd.Stdout, cmd.Stderr = outW, errW
	err = g.start(of, cmd)
	_, _ = outW.Close(), errW.Close() // the child has its own
	if err != nil {
		_, _ = outR.Close(), errR.Close()
		return nil, err
	}
	p.copy(stdout, outR)
	if stderr != nil {
		p.copy(stderr, errR)
	}
	go func() {
		_ = cmd.Wait() // the state says it all
		p.state = cmd.ProcessState
		close(p.done)
	}()
	return p, nil
}

func (p *process) copy(to io.Writer, from *os.File) {
	p.output.Go(func() {
		// A writer that fails must not block the program, hence the rest is read
		// all the same.
		if _, err := io.Copy(to, from); err != nil {
			_, _ = io.Copy(io.Discard, from)
		}
		_ = from.Close()
	})
}

// drain waits until the program has been collected and its output copied, at
// most for limit: a process that got away may hold the pipe.
func (p *process) drain(limit time.Duration) {
	drained := make(chan struct{})
	go func() {
		<-p.done
		p.output.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(limit):
	}
}

// ended tells whether the program has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
