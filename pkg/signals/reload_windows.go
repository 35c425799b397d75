package signals

import "os"

var reloadSignals []os.Signal
