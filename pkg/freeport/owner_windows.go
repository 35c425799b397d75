package freeport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Owner finds the process that listens on the port.
func Owner(port int) (name string, pid int, ok bool) {
	for _, family := range []struct {
		number uintptr
		row    tcpRow
	}{{windows.AF_INET, tcp4Row}, {windows.AF_INET6, tcp6Row}} {
		if pid, ok := family.row.find(listening(family.number), port); ok {
			name, ok := processName(pid)
			return name, pid, ok
		}
	}
	return "", 0, false
}

// listening is the system's table of the sockets that listen; nil when it cannot
// be had.
func listening(family uintptr) []byte {
	const ownerOfListeners = 3 // TCP_TABLE_OWNER_PID_LISTENER
	call := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")
	if call.Find() != nil {
		return nil
	}
	table := make([]byte, 64<<10)
	// The table may grow between two calls.
	for range 5 {
		size := uint32(len(table))
		code, _, _ := call.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)), 0, family, ownerOfListeners, 0)
		switch syscall.Errno(code) {
		case 0:
			return table
		case windows.ERROR_INSUFFICIENT_BUFFER:
			table = make([]byte, 2*size)
		default:
			return nil
		}
	}
	return nil
}

// processName is the name of a process's file, which the list of all processes
// tells of other users' too.
func processName(pid int) (name string, ok bool) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return "", false
	}
	defer windows.CloseHandle(snapshot)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		if int(entry.ProcessID) == pid {
			return windows.UTF16ToString(entry.ExeFile[:]), true
		}
	}
	return "", false
}
