package peer

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"unicode/utf8"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hyperdapr/dapr/pkg/app"
)

// This file encodes the messages of dapr.proto.internals.v1 by hand: between an
// http.Header and the wire, the generated types would cost more than the rest
// of the call. Tests hold it to the generated types.

// Field numbers, by message.
const (
	streamHead    = 1 // InternalInvoke{Request,Response}Stream.{request,response}
	streamPayload = 2

	payloadData = 1 // StreamPayload
	payloadSeq  = 2

	requestVersion  = 1 // InternalInvokeRequest
	requestMetadata = 2
	requestMessage  = 3

	invokeMethod      = 1 // InvokeRequest
	invokeData        = 2
	invokeContentType = 3
	invokeExtension   = 4

	extensionVerb  = 1 // HTTPExtension
	extensionQuery = 2

	responseStatus   = 1 // InternalInvokeResponse
	responseHeaders  = 2
	responseTrailers = 3
	responseMessage  = 4

	resultData        = 1 // InvokeResponse
	resultContentType = 2

	statusCode    = 1 // Status
	statusMessage = 2
	statusDetails = 3

	mapKey   = 1 // a map's entry
	mapValue = 2

	listValues = 1 // ListStringValue

	anyType  = 1 // google.protobuf.Any
	anyValue = 2
)

const contentType = "Content-Type"

// checkVerb refuses what the contract's enumeration cannot carry.
func checkVerb(verb string) error {
	if _, ok := commonv1.HTTPExtension_Verb_value[verb]; !ok && verb != "" {
		return fmt.Errorf("HTTP method %q cannot be carried between sidecars: use one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT", verb)
	}
	return nil
}

// sizeRequest and appendRequest write an InternalInvokeRequest. In a stream
// data is nil: it travels as payload.
func sizeRequest(r *app.Request, data []byte) int {
	return sizeVarint(requestVersion, uint64(internalsv1.APIVersion_V1)) +
		sizeHeader(requestMetadata, r.Header) +
		sizeField(requestMessage, sizeInvoke(r, data))
}

func appendRequest(b []byte, r *app.Request, data []byte) []byte {
	b = appendVarint(b, requestVersion, uint64(internalsv1.APIVersion_V1))
	b = appendHeader(b, requestMetadata, r.Header)
	b = appendLen(b, requestMessage, sizeInvoke(r, data))

	b = appendString(b, invokeMethod, r.Path)
	b = appendAny(b, invokeData, r.DataType, data)
	b = appendString(b, invokeContentType, r.Header.Get(contentType))
	if n := sizeExtension(r); n > 0 {
		b = appendLen(b, invokeExtension, n)
		b = appendVarint(b, extensionVerb, verbNumber(r.Verb))
		b = appendString(b, extensionQuery, r.Query)
	}
	return b
}

func sizeInvoke(r *app.Request, data []byte) int {
	n := sizeString(invokeMethod, r.Path) +
		sizeAny(invokeData, r.DataType, data) +
		sizeString(invokeContentType, r.Header.Get(contentType))
	if ext := sizeExtension(r); ext > 0 {
		n += sizeField(invokeExtension, ext)
	}
	return n
}

func sizeExtension(r *app.Request) int {
	return sizeVarint(extensionVerb, verbNumber(r.Verb)) + sizeString(extensionQuery, r.Query)
}

func verbNumber(verb string) uint64 {
	return uint64(commonv1.HTTPExtension_Verb_value[verb])
}

func parseRequest(s string) (*app.Request, error) {
	r := &app.Request{Header: make(http.Header, 14)} // as many as 16 slots take
	h := headerReader{header: r.Header}
	var typ string
	for f, err := range fields(s) {
		if err != nil {
			return nil, err
		}
		switch f.num {
		case requestMetadata:
			err = h.entry(f.data)
		case requestMessage:
			typ, err = parseInvoke(f.data, r)
		}
		if err != nil {
			return nil, err
		}
	}
	if typ != "" {
		r.Header[contentType] = []string{typ}
	}
	app.RemoveHopByHop(r.Header) // which other makes may let through
	return r, nil
}

func parseInvoke(s string, r *app.Request) (typ string, err error) {
	for f, err := range fields(s) {
		if err != nil {
			return "", err
		}
		switch f.num {
		case invokeMethod:
			r.Path = f.data
		case invokeData:
			r.DataType, r.Data, err = parseAny(f.data)
		case invokeContentType:
			typ = f.data
		case invokeExtension:
			err = parseExtension(f.data, r)
		}
		if err != nil {
			return "", err
		}
	}
	return typ, nil
}

func parseExtension(s string, r *app.Request) error {
	for f, err := range fields(s) {
		if err != nil {
			return err
		}
		switch f.num {
		case extensionVerb:
			if f.value != uint64(commonv1.HTTPExtension_NONE) {
				r.Verb = commonv1.HTTPExtension_Verb_name[int32(f.value)]
			}
		case extensionQuery:
			r.Query = f.data
		}
	}
	return nil
}

// sizeResponse and appendResponse write an InternalInvokeResponse. In a stream
// data is nil: it travels as payload.
func sizeResponse(r *app.Response, data []byte) int {
	n := sizeField(responseStatus, sizeStatus(r)) +
		sizeHeader(responseHeaders, r.Header) +
		sizeHeader(responseTrailers, r.Trailer)
	if m := sizeResult(r, data); m > 0 {
		n += sizeField(responseMessage, m)
	}
	return n
}

func appendResponse(b []byte, r *app.Response, data []byte) []byte {
	b = appendLen(b, responseStatus, sizeStatus(r))
	b = appendVarint(b, statusCode, uint64(r.Status))
	b = appendString(b, statusMessage, r.Message)
	for _, d := range r.Details {
		b = appendAny(b, statusDetails, d.GetTypeUrl(), d.GetValue())
	}
	b = appendHeader(b, responseHeaders, r.Header)
	b = appendHeader(b, responseTrailers, r.Trailer)
	if n := sizeResult(r, data); n > 0 {
		b = appendLen(b, responseMessage, n)
		b = appendAny(b, resultData, r.DataType, data)
		b = appendString(b, resultContentType, r.Header.Get(contentType))
	}
	return b
}

func sizeStatus(r *app.Response) int {
	n := sizeVarint(statusCode, uint64(r.Status)) + sizeString(statusMessage, r.Message)
	for _, d := range r.Details {
		n += sizeAny(statusDetails, d.GetTypeUrl(), d.GetValue())
	}
	return n
}

func sizeResult(r *app.Response, data []byte) int {
	return sizeAny(resultData, r.DataType, data) + sizeString(resultContentType, r.Header.Get(contentType))
}

func parseResponse(s string) (*app.Response, error) {
	r := &app.Response{Header: make(http.Header, 8)}
	h := headerReader{header: r.Header}
	var t headerReader
	var typ string
	for f, err := range fields(s) {
		if err != nil {
			return nil, err
		}
		switch f.num {
		case responseStatus:
			err = parseStatus(f.data, r)
		case responseHeaders:
			err = h.entry(f.data)
		case responseTrailers:
			if r.Trailer == nil {
				r.Trailer = make(http.Header)
				t.header = r.Trailer
			}
			err = t.entry(f.data)
		case responseMessage:
			typ, err = parseResult(f.data, r)
		}
		if err != nil {
			return nil, err
		}
	}
	if typ != "" {
		r.Header[contentType] = []string{typ}
	}
	app.RemoveHopByHop(r.Header) // which other makes may let through
	return r, nil
}

func parseStatus(s string, r *app.Response) error {
	for f, err := range fields(s) {
		if err != nil {
			return err
		}
		switch f.num {
		case statusCode:
			r.Status = int(int32(f.value))
		case statusMessage:
			r.Message = f.data
		case statusDetails:
			d := new(anypb.Any)
			if err := proto.Unmarshal([]byte(f.data), d); err != nil {
				return err
			}
			r.Details = append(r.Details, d)
		}
	}
	return nil
}

func parseResult(s string, r *app.Response) (typ string, err error) {
	for f, err := range fields(s) {
		if err != nil {
			return "", err
		}
		switch f.num {
		case resultData:
			r.DataType, r.Data, err = parseAny(f.data)
		case resultContentType:
			typ = f.data
		}
		if err != nil {
			return "", err
		}
	}
	return typ, nil
}

func sizeAny(num protowire.Number, typeURL string, value []byte) int {
	if typeURL == "" && len(value) == 0 {
		return 0
	}
	return sizeField(num, sizeAnyInner(typeURL, value))
}

func sizeAnyInner(typeURL string, value []byte) int {
	n := sizeString(anyType, typeURL)
	if len(value) > 0 {
		n += sizeField(anyValue, len(value))
	}
	return n
}

func appendAny(b []byte, num protowire.Number, typeURL string, value []byte) []byte {
	if typeURL == "" && len(value) == 0 {
		return b
	}
	b = appendLen(b, num, sizeAnyInner(typeURL, value))
	b = appendString(b, anyType, typeURL)
	if len(value) > 0 {
		b = appendLen(b, anyValue, len(value))
		b = append(b, value...)
	}
	return b
}

func parseAny(s string) (typeURL string, value []byte, err error) {
	for f, err := range fields(s) {
		if err != nil {
			return "", nil, err
		}
		switch f.num {
		case anyType:
			typeURL = f.data
		case anyValue:
			value = []byte(f.data)
		}
	}
	return typeURL, value, nil
}

// A header is a map<string, ListStringValue>.

func sizeHeader(num protowire.Number, h http.Header) (n int) {
	for name, values := range h {
		n += sizeField(num, sizeEntry(name, values))
	}
	return n
}

func sizeEntry(name string, values []string) int {
	return sizeField(mapKey, len(name)) + sizeField(mapValue, sizeValues(values))
}

func sizeValues(values []string) (n int) {
	for _, v := range values {
		n += sizeField(listValues, len(v))
	}
	return n
}

func appendHeader(b []byte, num protowire.Number, h http.Header) []byte {
	for name, values := range h {
		b = appendLen(b, num, sizeEntry(name, values))
		b = appendLen(b, mapKey, len(name))
		b = append(b, name...)
		b = appendLen(b, mapValue, sizeValues(values))
		for _, v := range values {
			b = appendLen(b, listValues, len(v))
			b = append(b, v...)
		}
	}
	return b
}

// validUTF8 makes the values what protobuf's strings must be: a peer that
// checks would refuse the whole message.
func validUTF8(h http.Header) {
	for name, values := range h {
		if slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			fixed := make([]string, len(values))
			for i, v := range values {
				fixed[i] = strings.ToValidUTF8(v, "\uFFFD")
			}
			h[name] = fixed
		}
	}
}

// headerReader adds entries to a header. Nearly every name has one value: their
// slices are cut from one.
type headerReader struct {
	header http.Header
	spare  []string
}

func (r *headerReader) entry(s string) error {
	var name, list string
	for f, err := range fields(s) {
		if err != nil {
			return err
		}
		switch f.num {
		case mapKey:
			name = textproto.CanonicalMIMEHeaderKey(f.data)
		case mapValue:
			list = f.data
		}
	}
	for f, err := range fields(list) {
		if err != nil {
			return err
		}
		if f.num == listValues {
			r.add(name, f.data)
		}
	}
	return nil
}

func (r *headerReader) add(name, value string) {
	if values, more := r.header[name]; more {
		r.header[name] = append(values, value)
		return
	}
	if len(r.spare) == 0 {
		r.spare = make([]string, 16)
	}
	values := r.spare[:1:1]
	r.spare = r.spare[1:]
	values[0] = value
	r.header[name] = values
}
