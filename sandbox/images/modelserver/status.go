package main

import "net/http"

// code is a canonical error code with the numbers of google.rpc.Code, which TF Serving reports by name.
type code int

const (
	codeOK                 code = 0
	codeCancelled          code = 1
	codeUnknown            code = 2
	codeInvalidArgument    code = 3
	codeDeadlineExceeded   code = 4
	codeNotFound           code = 5
	codeAlreadyExists      code = 6
	codePermissionDenied   code = 7
	codeResourceExhausted  code = 8
	codeFailedPrecondition code = 9
	codeAborted            code = 10
	codeOutOfRange         code = 11
	codeUnimplemented      code = 12
	codeInternal           code = 13
	codeUnavailable        code = 14
	codeDataLoss           code = 15
	codeUnauthenticated    code = 16
)

var codeNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

func (c code) String() string { return codeNames[c] }

// codeNamed finds a code by its name; false when there is none of that name.
func codeNamed(name string) (code, bool) {
	for number, known := range codeNames {
		if known == name {
			return code(number), true
		}
	}
	return codeUnknown, false
}

// httpStatus is the HTTP status with which TF Serving's REST API reports a code.
func (c code) httpStatus() int {
	switch c {
	case codeOK:
		return http.StatusOK
	case codeCancelled:
		return 499 // "client closed request", which net/http has no name for
	case codeInvalidArgument, codeFailedPrecondition, codeOutOfRange:
		return http.StatusBadRequest
	case codeDeadlineExceeded:
		return http.StatusGatewayTimeout
	case codeNotFound:
		return http.StatusNotFound
	case codeAlreadyExists, codeAborted:
		return http.StatusConflict
	case codePermissionDenied:
		return http.StatusForbidden
	case codeResourceExhausted:
		return http.StatusTooManyRequests
	case codeUnimplemented:
		return http.StatusNotImplemented
	case codeUnavailable:
		return http.StatusServiceUnavailable
	case codeUnauthenticated:
		return http.StatusUnauthorized
	default:
		return http.StatusInternalServerError
	}
}

// status is a code with its message; the zero value is success.
type status struct {
	code    code
	message string
}

func (s *status) Error() string { return s.String() }

// String writes a status as TF Serving's logs and nested messages do: "CODE: message", or "OK".
func (s *status) String() string {
	if s == nil || s.code == codeOK {
		return "OK"
	}
	return s.code.String() + ": " + s.message
}

// with adds what was being done, as TensorFlow does; no failure stays none.
func (s *status) with(context string) *status {
	if s == nil {
		return nil
	}
	return &status{s.code, s.message + "\n\t" + context}
}

func invalid(message string) *status { return &status{codeInvalidArgument, message} }
