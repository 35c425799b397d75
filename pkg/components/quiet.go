package components

import (
	"context"

	redisv8 "github.com/go-redis/redis/v8"
	"github.com/go-sql-driver/mysql"
	redisv9 "github.com/redis/go-redis/v9"
)

// These clients print to the process's standard error, past our logger and its
// format, what they also return as errors.
func init() {
	redisv8.SetLogger(silence{})
	redisv9.SetLogger(silence{})
	_ = mysql.SetLogger(silence{}) // fails on nil only
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
func (silence) Print(...any)                           {}
