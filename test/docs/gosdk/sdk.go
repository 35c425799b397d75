// Package shop locks the Go SDK that the programs of the pages use. They are put
// beside these files when they are run.
package shop

import _ "github.com/dapr/go-sdk/client" // what the programs import
