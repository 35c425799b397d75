package freeport

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheOwnerInATableOfWindows(t *testing.T) {
	for name, row := range map[string]tcpRow{"IPv4": tcp4Row, "IPv6": tcp6Row} {
		t.Run(name, func(t *testing.T) {
			table := binary.LittleEndian.AppendUint32(nil, 2)
			for _, socket := range []struct{ port, pid int }{{3500, 70000}, {50001, 8}} {
				r := make([]byte, row.size)
				binary.BigEndian.PutUint16(r[row.port:], uint16(socket.port))
				binary.LittleEndian.PutUint32(r[row.pid:], uint32(socket.pid))
				table = append(table, r...)
			}
			pid, ok := row.find(table, 50001)
			require.True(t, ok)
			require.Equal(t, 8, pid)
			pid, ok = row.find(table, 3500)
			require.True(t, ok)
			require.Equal(t, 70000, pid)
			for _, incomplete := range [][]byte{table, table[:len(table)-1], table[:3], nil} {
				_, ok = row.find(incomplete, 1)
				require.False(t, ok)
			}
		})
	}
}
