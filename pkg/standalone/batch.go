package standalone

import (
	"errors"
	"path/filepath"
	"strings"
)

// isBatch tells whether a file is a batch file, which on Windows a shell runs:
// npm and many other commands are.
func isBatch(path string) bool {
	extension := strings.ToLower(filepath.Ext(path))
	return extension == ".bat" || extension == ".cmd"
}

// batchLine is the command line with which cmd.exe runs a batch file. The shell
// reads it first, and then the batch file's own programs do: what is quoted only
// for these would be commands and variables to the shell.
func batchLine(file string, args []string) (string, error) {
	var b strings.Builder
	// Extensions on, delayed expansion off, no AutoRun; of the outermost quotes
	// the shell takes the first and the last away.
	b.WriteString(`cmd.exe /e:ON /v:OFF /d /c ""` + file + `"`)
	for _, arg := range args {
		if strings.ContainsAny(arg, "\x00\r\n") {
			return "", errors.New("the app's command is a batch file, which takes no argument with a line break: start the program behind it")
		}
		b.WriteByte(' ')
		writeBatchArg(&b, arg)
	}
	b.WriteByte('"')
	return b.String(), nil
}

func writeBatchArg(b *strings.Builder, arg string) {
	// A backslash at the end would escape a quote that the batch file adds.
	quoted := arg == "" || strings.HasSuffix(arg, `\`) || strings.ContainsFunc(arg, shellReads)
	if quoted {
		b.WriteByte('"')
	}
	backslashes := 0
	for i := range len(arg) {
		switch c := arg[i]; c {
		case '\\':
			backslashes++
		case '"':
			// Backslashes count as two before a quote, and a quote is doubled:
			// programs understand that as \" and the shell stays in the quotes.
			b.WriteString(strings.Repeat(`\`, backslashes) + `"`)
			backslashes = 0
		case '%':
			// No variable's name follows: %cd:~,% is an empty piece of one that is
			// always there.
			b.WriteString("%%cd:~,")
			backslashes = 0
		default:
			backslashes = 0
		}
		b.WriteByte(arg[i])
	}
	if quoted {
		b.WriteString(strings.Repeat(`\`, backslashes) + `"`)
	}
}

// shellReads tells the characters that may mean something to the shell.
func shellReads(c rune) bool {
	isWord := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c > 0x9f
	return !isWord && !strings.ContainsRune(`#$*+-./:?@\_`, c)
}
