package app

import (
	"encoding/base64"
	"net/http"
	"net/textproto"
	"strings"

	"google.golang.org/grpc/metadata"
)

// RemoveHopByHop deletes the headers that concern one connection and not the
// message, in place.
func RemoveHopByHop(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// A header whose name means something to gRPC or to HTTP itself crosses between
// the two under this prefix.
const reservedPrefix = "dapr-"

const binarySuffix = "-bin"

// traceBin is the one reserved grpc- name that passes as it is.
const traceBin = "grpc-trace-bin"

// ToMetadata returns a header as gRPC metadata: lower-case keys, reserved names
// under "dapr-", binary values decoded. The content type and length belong to
// the message and are left out.
func ToMetadata(h http.Header) metadata.MD {
	md := make(metadata.MD, len(h))
	for name, values := range h {
		key := strings.ToLower(name)
		switch {
		case key == "content-type", key == "content-length", key == "te", key == "transfer-encoding", key == "connection":
			continue
		case permanent[key], strings.HasPrefix(key, "grpc-") && key != traceBin:
			key = reservedPrefix + key
		case strings.HasSuffix(key, binarySuffix):
			values = decodeBinary(values)
		}
		md[key] = append(md[key], values...)
	}
	return md
}

// FromMetadata is the reverse of ToMetadata for what arrives over gRPC.
func FromMetadata(md metadata.MD) http.Header {
	h := make(http.Header, len(md)+8) // room for what the sidecar adds
	for key, values := range md {
		switch {
		case key == "content-type", key == "content-length", key == "te":
			continue
		case strings.HasPrefix(key, ":"):
			key = reservedPrefix + key[1:]
		case strings.HasPrefix(key, "grpc-") && key != traceBin:
			key = reservedPrefix + key
		case strings.HasSuffix(key, binarySuffix):
			values = encodeBinary(values)
		}
		key = textproto.CanonicalMIMEHeaderKey(key)
		h[key] = append(h[key], values...)
	}
	return h
}

func encodeBinary(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	return out
}

// decodeBinary keeps a value that is not base64 as it is: better than to lose it.
func decodeBinary(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v
		if raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "=")); err == nil {
			out[i] = string(raw)
		}
	}
	return out
}

// permanent are IANA's permanent message headers that a gRPC library or server
// may take for its own.
var permanent = map[string]bool{
	"accept": true, "accept-charset": true, "accept-encoding": true, "accept-language": true, "accept-ranges": true,
	"authorization": true, "cache-control": true, "cookie": true, "date": true, "expect": true, "from": true, "host": true,
	"if-match": true, "if-modified-since": true, "if-none-match": true, "if-schedule-tag-match": true, "if-unmodified-since": true,
	"max-forwards": true, "origin": true, "pragma": true, "referer": true, "user-agent": true, "via": true, "warning": true,
}
