package servers

import "os"

func terminate(p *os.Process) { _ = p.Kill() }
