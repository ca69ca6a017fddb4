package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// caBundle is compiled into TensorFlow's libcurl; CURL_CA_BUNDLE names another file. SSL_CERT_FILE is not heeded.
	caBundle    = "/etc/ssl/certs/ca-certificates.crt"
	mostOfABody = 500 // bytes of an answer that an error repeats
)

// curl makes requests as TensorFlow makes them with libcurl: HTTP/1.1, a connection each, no redirects; proxy variables
// are not heeded here. Errors have TensorFlow's codes and words.
type curl struct {
	roots         string // file of certificates
	connect, idle time.Duration
	dial          func(ctx context.Context, network, address string) (net.Conn, error)
}

func newCurl(env func(string) string) *curl {
	return &curl{
		roots:   orDefault(env("CURL_CA_BUNDLE"), caBundle),
		connect: seconds(env, "GCS_REQUEST_CONNECTION_TIMEOUT_SECS", 2*time.Minute),
		idle:    seconds(env, "GCS_REQUEST_IDLE_TIMEOUT_SECS", time.Minute),
		dial:    (&net.Dialer{}).DialContext,
	}
}

// curlError is a failure by libcurl's number; details is what it adds.
type curlError struct {
	number           int
	meaning, details string
}

func (e *curlError) Error() string { return e.details }

var errIdle = errors.New("no progress")

// get sends one request that may take as long as most. Whatever is no success is an error, with TensorFlow's code.
func (c *curl) get(uri string, header http.Header, most time.Duration) ([]byte, *status) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ctx, stop := context.WithTimeout(ctx, most)
	defer stop()
	progress := time.AfterFunc(c.idle, func() { cancel(errIdle) })
	defer progress.Stop()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, unavailable(&curlError{3, "URL using bad/illegal format or missing URL", err.Error()})
	}
	request.Header = header.Clone()
	request.Header.Set("User-Agent", "TSL")
	answer, err := c.transport().RoundTrip(request)
	if err != nil {
		return nil, c.failure(ctx, request.URL, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(resetting{answer.Body, func() { progress.Reset(c.idle) }})
	if err != nil {
		return nil, c.failure(ctx, request.URL, err)
	}
	return answered(answer.StatusCode, body)
}

// resetting calls a function at each piece that arrives.
type resetting struct {
	io.Reader
	arrived func()
}

func (r resetting) Read(into []byte) (int, error) {
	n, err := r.Reader.Read(into)
	r.arrived()
	return n, err
}

func (c *curl) transport() *http.Transport {
	return &http.Transport{
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext:        c.connected,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			plain, err := c.connected(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return c.secure(ctx, plain, address)
		},
	}
}

func (c *curl) connected(ctx context.Context, network, address string) (net.Conn, error) {
	limited, stop := context.WithTimeout(ctx, c.connect)
	defer stop()
	return c.dial(limited, network, address)
}

func (c *curl) secure(ctx context.Context, plain net.Conn, address string) (net.Conn, error) {
	bundle, err := os.ReadFile(c.roots)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(bundle) {
		plain.Close()
		return nil, &curlError{77, "Problem with the SSL CA cert (path? access rights?)",
			"error setting certificate verify locations:  CAfile: " + c.roots + " CApath: none"}
	}
	host, _, _ := net.SplitHostPort(address)
	secured := tls.Client(plain, &tls.Config{ServerName: host, RootCAs: roots})
	if err := secured.HandshakeContext(ctx); err != nil {
		plain.Close()
		if words := certificateProblem(err, host); words != "" {
			return nil, &curlError{60, "SSL peer certificate or SSH remote key was not OK", words}
		}
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &curlError{35, "SSL connect error", "TLS connect error in connection to " + address + ": " + err.Error()}
	}
	return secured, nil
}

// certificateProblem is "" where the certificate was not what failed.
func certificateProblem(err error, host string) string {
	var name x509.HostnameError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &name):
		return "SSL: no alternative certificate subject name matches target host name '" + host + "'"
	case errors.As(err, &verification):
		return "SSL certificate problem: " + strings.TrimPrefix(verification.Err.Error(), "x509: ")
	default:
		return ""
	}
}

// failure is a request without an answer in libcurl's words.
func (c *curl) failure(ctx context.Context, uri *url.URL, err error) *status {
	var known *curlError
	var name *net.DNSError
	var operation *net.OpError
	switch {
	case errors.As(err, &known):
	case errors.Is(context.Cause(ctx), errIdle):
		known = &curlError{42, "Operation was aborted by an application callback", "Callback aborted"}
	case errors.Is(err, context.DeadlineExceeded):
		known = &curlError{28, "Timeout was reached", "Connection timed out"}
	case errors.As(err, &name):
		known = &curlError{6, "Couldn't resolve host name", "Could not resolve host: " + uri.Hostname()}
	case errors.As(err, &operation) && operation.Op == "dial":
		known = &curlError{7, "Couldn't connect to server", "Failed to connect to " + uri.Host + ": " + operation.Err.Error()}
	case errors.Is(err, io.EOF):
		known = &curlError{52, "Server returned nothing (no headers, no data)", "Empty reply from server"}
	default:
		known = &curlError{56, "Failure when receiving data from the peer", "Recv failure: " + err.Error()}
	}
	failed := unavailable(known)
	// A certificate file does not come by waiting, nor does the name of a metadata server that is not there.
	if known.number == 77 || known.number == 6 && strings.Contains(uri.String(), "://metadata") {
		failed.code = codeFailedPrecondition
	}
	return failed
}

func unavailable(e *curlError) *status {
	return &status{codeUnavailable, fmt.Sprintf("Error executing an HTTP request: libcurl code %d meaning '%s', error details: %s",
		e.number, e.meaning, e.details)}
}

// answered turns an HTTP status into TensorFlow's; 416, a read past the end, is a success without content.
func answered(httpStatus int, body []byte) ([]byte, *status) {
	meaning := codeUnavailable // also what has no line here: it may pass
	switch httpStatus {
	case 200, 201, 204, 206:
		return body, nil
	case 416:
		return nil, nil
	case 400, 406, 411, 414:
		meaning = codeInvalidArgument
	case 401, 403, 407:
		meaning = codePermissionDenied
	case 404, 410:
		meaning = codeNotFound
	case 302, 303, 304, 307, 412, 413:
		meaning = codeFailedPrecondition
	}
	message := fmt.Sprintf("Error executing an HTTP request: HTTP response code %d", httpStatus)
	if len(body) > 0 {
		message += " with body '" + string(body[:min(len(body), mostOfABody)]) + "'"
	}
	return nil, &status{meaning, message}
}
