package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// guard starts the processes of one run and sees to their end, also when the
// CLI is killed: they are in a job object that the system ends with the last
// handle to it, which is the CLI's. No keeper is needed.
type guard struct {
	trace trace
	job   windows.Handle
}

func newGuard(t trace, _, _ []string) (*guard, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("create a job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{
			LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
		},
	}
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		return nil, errors.Join(fmt.Errorf("set up a job object: %w", err), windows.CloseHandle(job))
	}
	return &guard{trace: t, job: job}, nil
}

// start starts cmd suspended and lets it go when it is in the job, so that
// whatever it starts is in the job too.
func (g *guard) start(which part, cmd *exec.Cmd) error {
	cmd.Env = g.trace.mark(cmd.Env)
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP}
	if err := cmd.Start(); err != nil {
		return err
	}
	var adopted error
	err := cmd.Process.WithHandle(func(handle uintptr) {
		if adopted = windows.AssignProcessToJobObject(g.job, windows.Handle(handle)); adopted == nil {
			adopted = resume(windows.Handle(handle))
		}
	})
	if err = errors.Join(err, adopted); err != nil {
		return errors.Join(fmt.Errorf("put process %d into the job: %w", cmd.Process.Pid, err), cmd.Process.Kill())
	}
	if which == appPart {
		g.trace.App = cmd.Process.Pid
	} else {
		g.trace.Sidecar = cmd.Process.Pid
	}
	return nil
}

func resume(process windows.Handle) error {
	status, _, _ := windows.NewLazySystemDLL("ntdll.dll").NewProc("NtResumeProcess").Call(uintptr(process))
	if status != 0 {
		return fmt.Errorf("resume: %w", windows.NTStatus(status))
	}
	return nil
}

// members lists the living processes of a part. The sidecar starts no others.
func (g *guard) members(which part) ([]int, error) {
	// JOBOBJECT_BASIC_PROCESS_ID_LIST, with room for as many as anybody runs.
	var list struct {
		Assigned, Count uint32
		PIDs            [4096]uintptr
	}
	if err := windows.QueryInformationJobObject(g.job, windows.JobObjectBasicProcessIdList,
		uintptr(unsafe.Pointer(&list)), uint32(unsafe.Sizeof(list)), nil); err != nil {
		return nil, fmt.Errorf("list the job's processes: %w", err)
	}
	var pids []int
	for _, pid := range list.PIDs[:list.Count] {
		if (int(pid) == g.trace.Sidecar) == (which == sidecarPart) {
			pids = append(pids, int(pid))
		}
	}
	return pids, nil
}

// ask sends Ctrl-Break, the one console event that can be sent to a group. It
// reaches the groups' leaders and those in them.
func (g *guard) ask(pid int) {
	if slices.Contains([]int{g.trace.App, g.trace.Sidecar}, pid) {
		_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(pid))
	}
}

func (g *guard) kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// close closes the job, and thereby ends what is left in it.
func (g *guard) close() error { return windows.CloseHandle(g.job) }

// Keep does nothing: no keeper is started here.
func Keep(context.Context, io.Reader) error { return nil }

// isChild tells whether a process was started by another one, which is taken to
// be so while both live.
func isChild(pid, parent int) bool { return alive(pid) && alive(parent) }

// alive tells whether a process exists and has not ended.
func alive(pid int) bool {
	h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(h)
	event, err := windows.WaitForSingleObject(h, 0)
	return err == nil && event == uint32(windows.WAIT_TIMEOUT)
}
