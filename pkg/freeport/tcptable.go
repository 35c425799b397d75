package freeport

import "encoding/binary"

// tcpRow is the form of a row in one of Windows' tables of TCP sockets: offsets
// in bytes.
type tcpRow struct{ size, port, pid int }

var (
	tcp4Row = tcpRow{size: 24, port: 8, pid: 20}  // MIB_TCPROW_OWNER_PID
	tcp6Row = tcpRow{size: 56, port: 20, pid: 52} // MIB_TCP6ROW_OWNER_PID
)

// find returns the process that has a port in a table: the number of rows, and
// the rows. The port's two bytes stand in the order of the network.
func (r tcpRow) find(table []byte, port int) (pid int, ok bool) {
	if len(table) < 4 {
		return 0, false
	}
	rows := binary.LittleEndian.Uint32(table)
	table = table[4:]
	for range rows {
		if len(table) < r.size {
			return 0, false
		}
		if int(binary.BigEndian.Uint16(table[r.port:])) == port {
			return int(binary.LittleEndian.Uint32(table[r.pid:])), true
		}
		table = table[r.size:]
	}
	return 0, false
}
