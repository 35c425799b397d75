package freeport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// Env is the variable that tells a child which listeners it was given, as
// "http=3,grpc=4": names and file descriptors.
const Env = "DAPR_INHERITED_LISTENERS"

// Inherited are the listeners a process was given by its parent. A nil one is
// empty. It is not safe for concurrent use.
type Inherited struct {
	listeners map[string]net.Listener
}

// Adopt takes over the listeners that value, the content of the variable Env,
// names. Call it once, when the process starts: the descriptors are used up.
func Adopt(value string) (*Inherited, error) {
	in := &Inherited{listeners: make(map[string]net.Listener)}
	for entry := range strings.SplitSeq(value, ",") {
		if entry == "" {
			continue
		}
		name, l, err := adopt(entry)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s=%s: %w", Env, value, err), in.Close())
		}
		in.listeners[name] = l
	}
	return in, nil
}

func adopt(entry string) (string, net.Listener, error) {
	name, number, _ := strings.Cut(entry, "=")
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 || name == "" {
		return "", nil, fmt.Errorf("%q is not name=descriptor with a descriptor above 2", entry)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // FileListener has its own descriptor, which children do not inherit
	l, err := net.FileListener(f)
	if err != nil {
		return "", nil, fmt.Errorf("descriptor %d is not a listener: %w", fd, err)
	}
	return name, l, nil
}

// Listen returns the inherited listener with the name if it is bound to the
// port, and else binds one as the function Listen does. An inherited listener
// is given out once: who needs the port again, after a reload, binds it.
func (in *Inherited) Listen(name, host string, port int, flag string) (net.Listener, error) {
	if in != nil {
		if l := in.listeners[name]; l != nil && Port(l) == port {
			delete(in.listeners, name)
			return l, nil
		}
	}
	return Listen(host, port, flag)
}

// Close closes the listeners that nobody has taken.
func (in *Inherited) Close() error {
	if in == nil {
		return nil
	}
	var errs []error
	for name, l := range in.listeners {
		errs = append(errs, l.Close())
		delete(in.listeners, name)
	}
	return errors.Join(errs...)
}
