package peer

import (
	"errors"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

var errWire = errors.New("malformed protobuf message")

// bytestring lets the same code read a message that is borrowed (bytes) and one
// that is kept (a string, whose parts cost nothing).
type bytestring interface{ ~string | ~[]byte }

// field is one field of a message: num and the value that its type has.
type field[T bytestring] struct {
	num   protowire.Number
	value uint64 // of a varint
	data  T      // of a length-delimited field
}

// fields reads a message. An error is the last thing it yields.
func fields[T bytestring](b T) iter.Seq2[field[T], error] {
	return func(yield func(field[T], error) bool) {
		for len(b) > 0 {
			f, rest, err := next(b)
			if !yield(f, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

// next reads the first field of b and returns what follows it.
func next[T bytestring](b T) (f field[T], rest T, err error) {
	tag, b, ok := varint(b)
	if !ok || tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
		return f, b, errWire
	}
	f.num = protowire.Number(tag >> 3)
	switch protowire.Type(tag & 7) {
	case protowire.VarintType:
		f.value, b, ok = varint(b)
	case protowire.BytesType:
		var n uint64
		if n, b, ok = varint(b); ok && n <= uint64(len(b)) {
			f.data, b = b[:n], b[n:]
		} else {
			ok = false
		}
	case protowire.Fixed32Type:
		b, ok = skip(b, 4)
	case protowire.Fixed64Type:
		b, ok = skip(b, 8)
	default:
		ok = false // groups are not part of proto3
	}
	if !ok {
		return f, b, errWire
	}
	return f, b, nil
}

func skip[T bytestring](b T, n int) (T, bool) {
	if len(b) < n {
		return b, false
	}
	return b[n:], true
}

func varint[T bytestring](b T) (v uint64, rest T, ok bool) {
	for i := 0; i < len(b) && i < 10; i++ {
		c := b[i]
		if i == 9 && c > 1 {
			return 0, b, false
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, b[i+1:], true
		}
	}
	return 0, b, false
}

// The rest writes fields. Fields that have their type's zero value are left
// out, as proto3 does.

func sizeString(num protowire.Number, s string) int {
	if s == "" {
		return 0
	}
	return sizeField(num, len(s))
}

// sizeField is the size of a length-delimited field, which may be empty.
func sizeField(num protowire.Number, n int) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(n)
}

func sizeVarint(num protowire.Number, v uint64) int {
	if v == 0 {
		return 0
	}
	return protowire.SizeTag(num) + protowire.SizeVarint(v)
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = appendLen(b, num, len(s))
	return append(b, s...)
}

// appendLen begins a length-delimited field.
func appendLen(b []byte, num protowire.Number, n int) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(n))
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}
