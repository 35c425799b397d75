package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// guard starts the processes of one run and sees to their end, also when the
// CLI is killed: they are in a job object that the system ends with the last
// handle to it, which is the CLI's. No keeper is needed.
type guard struct {
	trace trace
	// session is the job that carries the CLI's name and holds all its runs; job
	// is the one of this run, within it.
	session, job windows.Handle
	// heard tells of each process group that was asked to end whether the request
	// went out.
	heard map[int]bool
}

func newGuard(t trace, _, _ []string) (*guard, error) {
	name, err := windows.UTF16PtrFromString(jobName(os.Getpid()))
	if err != nil {
		return nil, err
	}
	g := &guard{trace: t, heard: make(map[int]bool)}
	// The second run of one CLI gets the job that the first one made.
	if g.session, err = newJob(name); err != nil {
		return nil, err
	}
	if g.job, err = newJob(nil); err != nil {
		return nil, errors.Join(err, windows.CloseHandle(g.session))
	}
	return g, nil
}

// newJob makes a job that ends what is in it with its last handle, and that
// nothing can leave. Nobody but the user and the system gets at it, nor at what
// else is made without a security descriptor; no child inherits the handle.
func newJob(name *uint16) (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, name)
	if err != nil {
		return 0, fmt.Errorf("create a job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{
			LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
		},
	}
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		return 0, errors.Join(fmt.Errorf("set up a job object: %w", err), windows.CloseHandle(job))
	}
	return job, nil
}

// start starts cmd suspended and lets it go when it is in the jobs, so that
// whatever it starts is in them too.
func (g *guard) start(which part, cmd *exec.Cmd) error {
	cmd.Env = g.trace.mark(cmd.Env)
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP}
	if isBatch(cmd.Path) {
		if err := throughShell(cmd); err != nil {
			return err
		}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var adopted error
	err := cmd.Process.WithHandle(func(handle uintptr) {
		process := windows.Handle(handle)
		for _, job := range []windows.Handle{g.session, g.job} {
			if adopted = windows.AssignProcessToJobObject(job, process); adopted != nil {
				return
			}
		}
		adopted = resume(process)
	})
	if err = errors.Join(err, adopted); err != nil {
		err = errors.Join(fmt.Errorf("put process %d into the job: %w", cmd.Process.Pid, err), cmd.Process.Kill())
		_ = cmd.Wait() // killed, as it should be
		return err
	}
	if which == appPart {
		g.trace.App = cmd.Process.Pid
	} else {
		g.trace.Sidecar = cmd.Process.Pid
	}
	return nil
}

// throughShell makes cmd start the shell with a batch file, as the system would,
// but with arguments that the shell leaves alone.
func throughShell(cmd *exec.Cmd) error {
	line, err := batchLine(cmd.Path, cmd.Args[1:])
	if err != nil {
		return err
	}
	system, err := windows.GetSystemDirectory()
	if err != nil {
		return fmt.Errorf("find the shell: %w", err)
	}
	cmd.Path = filepath.Join(system, "cmd.exe")
	cmd.SysProcAttr.CmdLine = line
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
	err := windows.QueryInformationJobObject(g.job, windows.JobObjectBasicProcessIdList,
		uintptr(unsafe.Pointer(&list)), uint32(unsafe.Sizeof(list)), nil)
	if err != nil && !errors.Is(err, windows.ERROR_MORE_DATA) {
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

// ask sends Ctrl-Break, the one console event that can be sent to a group, once
// to the process's group: a second one would tell many programs to make haste.
// Without a console nobody can be asked.
func (g *guard) ask(pid int) (heard bool) {
	group := g.trace.App
	if pid == g.trace.Sidecar {
		group = pid
	}
	heard, asked := g.heard[group]
	if !asked {
		heard = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(group)) == nil
		g.heard[group] = heard
	}
	return heard
}

// kill ends the whole job at once, so that nobody can start another process
// meanwhile.
func (g *guard) kill([]int) { _ = windows.TerminateJobObject(g.job, killedCode) }

// close closes the jobs, and thereby ends what is left in them.
func (g *guard) close() error {
	return errors.Join(windows.CloseHandle(g.job), windows.CloseHandle(g.session))
}

// Keep does nothing: no keeper is started here.
func Keep(context.Context, io.Reader) error { return nil }

// endAbandoned does nothing: the system has ended the run with its CLI.
func endAbandoned(context.Context, Layout, instances.Instance) (ended bool, err error) {
	return false, nil
}

// isChild tells whether a living process was started by another one.
func isChild(pid, parent int) bool {
	if !alive(pid) || !alive(parent) {
		return false
	}
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return false
	}
	defer windows.CloseHandle(snapshot)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		if int(entry.ProcessID) == pid {
			return int(entry.ParentProcessID) == parent
		}
	}
	return false
}

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
