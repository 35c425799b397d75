package standalone

import (
	"strconv"
	"time"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// Instance is one app with its sidecar, as "dapr list" shows it. The JSON names
// are a contract with the tools that read them.
type Instance struct {
	AppID          string `json:"appId"`
	HTTPPort       int    `json:"httpPort"`
	GRPCPort       int    `json:"grpcPort"`
	AppPort        int    `json:"appPort"`
	MetricsEnabled bool   `json:"metricsEnabled"`
	Command        string `json:"command"`
	// Age and Created are for people: see cmdutil.Age.
	Age      string `json:"age"`
	Created  string `json:"created"`
	DaprdPID int    `json:"daprdPid"`
	// CLIPID and AppPID are 0 when nobody has told the sidecar, and when they are
	// gone and it is not.
	CLIPID             int    `json:"cliPid"`
	AppPID             int    `json:"appPid"`
	MaxRequestBodySize int64  `json:"maxRequestBodySize"` // bytes
	HTTPReadBufferSize int64  `json:"httpReadBufferSize"` // bytes
	RunTemplatePath    string `json:"runTemplatePath"`
	AppLogPath         string `json:"appLogPath"`
	DaprdLogPath       string `json:"daprdLogPath"`
	RunTemplateName    string `json:"runTemplateName"`

	// Started is when the sidecar did.
	Started time.Time `json:"-"`
}

// List returns the sidecars that run on this machine now, by app id and then by
// start. The registry's locks make it the truth: whatever killed a sidecar also
// let go of its lock.
func List(l Layout) ([]Instance, error) {
	running, err := instances.List(l.Instances())
	if err != nil {
		return nil, err
	}
	list := make([]Instance, 0, len(running))
	for _, entry := range running {
		i := describe(entry)
		// A sidecar that outlived them still tells of the CLI and the app.
		if i.abandoned() {
			i.CLIPID = 0
			if !alive(i.AppPID) {
				i.AppPID = 0
			}
		}
		list = append(list, i)
	}
	return list, nil
}

func describe(i instances.Instance) Instance {
	return Instance{
		AppID:              i.AppID,
		HTTPPort:           i.HTTPPort,
		GRPCPort:           i.GRPCPort,
		AppPort:            i.AppPort,
		MetricsEnabled:     i.MetricsEnabled,
		Command:            i.Extended["appCommand"],
		DaprdPID:           i.PID,
		CLIPID:             pid(i.Extended["cliPID"]),
		AppPID:             pid(i.Extended["appPID"]),
		MaxRequestBodySize: i.MaxBodySize,
		HTTPReadBufferSize: i.ReadBufferSize,
		RunTemplatePath:    i.Extended["runTemplatePath"],
		AppLogPath:         i.Extended["appLogPath"],
		DaprdLogPath:       i.Extended["daprdLogPath"],
		RunTemplateName:    i.Extended["runTemplateName"],
		Started:            i.Started,
	}
}

// pid reads a process id; what is none is 0.
func pid(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
