package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// connection sends one request at a time and keeps its TCP connection between them.
type connection struct {
	target *target
	socket net.Conn // the TCP connection, nil when there is none
	stream net.Conn // socket, or TLS on top of it
	reader *bufio.Reader
	opened int64
}

// answer is a response as it was read.
type answer struct {
	status int
	header http.Header
	body   []byte // at most maxBody bytes of it
}

// maxBody bounds what is kept of a response; the rest is read and dropped.
const maxBody = 64 << 10

// send sends the request once and reads the response. It connects first where there is no connection, or one that the
// server has closed since. The timeout is for all of it.
func (c *connection) send(ctx context.Context) (answer, error) {
	deadline := time.Now().Add(c.target.timeout)
	if c.socket != nil && c.stale() {
		c.close()
	}
	if c.socket == nil {
		if err := c.open(ctx, deadline); err != nil {
			c.close()
			return answer{}, err
		}
	} else if err := c.stream.SetDeadline(deadline); err != nil {
		c.close()
		return answer{}, err
	}
	if _, err := c.stream.Write(c.target.request); err != nil {
		c.close()
		return answer{}, err
	}
	read, keep, err := c.read()
	if err != nil || !keep {
		c.close()
	}
	return read, err
}

func (c *connection) open(ctx context.Context, deadline time.Time) error {
	dialer := net.Dialer{Deadline: deadline}
	socket, err := dialer.DialContext(ctx, "tcp", c.target.address)
	if err != nil {
		return err
	}
	c.opened++
	c.socket, c.stream = socket, socket
	if err := socket.SetDeadline(deadline); err != nil {
		return err
	}
	if c.target.tls != nil {
		secured := tls.Client(socket, c.target.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			return &handshakeError{err}
		}
		c.stream = secured
	}
	if c.reader == nil {
		c.reader = bufio.NewReaderSize(c.stream, 16<<10)
	} else {
		c.reader.Reset(c.stream)
	}
	return nil
}

// handshakeError is what went wrong after the TCP connection stood and before a request could be sent.
type handshakeError struct{ error }

func (e *handshakeError) Unwrap() error { return e.error }

func (c *connection) close() {
	if c.socket != nil {
		c.socket.Close()
		c.socket, c.stream = nil, nil
	}
}

// read reads one response and says whether the connection can take another request.
func (c *connection) read() (answer, bool, error) {
	request := &http.Request{Method: c.target.method}
	response, err := http.ReadResponse(c.reader, request)
	for err == nil && response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
		response, err = http.ReadResponse(c.reader, request)
	}
	if err != nil {
		return answer{}, false, err
	}
	read := answer{status: response.StatusCode, header: response.Header}
	if read.body, err = io.ReadAll(io.LimitReader(response.Body, maxBody)); err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	response.Body.Close()
	if err != nil {
		return answer{}, false, err
	}
	return read, !response.Close, nil
}

// stale looks, without waiting, whether an idle connection was closed by the server. In plain HTTP, bytes that nobody
// asked for make it unfit as well: they would be read as the next answer. In TLS they may be session tickets.
func (c *connection) stale() bool {
	raw, err := c.socket.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	closed := c.reader.Buffered() > 0
	err = raw.Read(func(descriptor uintptr) bool {
		var one [1]byte
		count, _, err := syscall.Recvfrom(int(descriptor), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == nil:
			closed = closed || count == 0 || c.target.tls == nil
		case !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR):
			closed = true
		}
		return true
	})
	return closed || err != nil
}

// kindOf names what kept a request from being answered. The kinds are part of the report's format.
func kindOf(err error) string {
	var dns *net.DNSError
	var verification *tls.CertificateVerificationError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var network net.Error
	switch {
	case errors.As(err, &verification), errors.As(err, &hostname):
		return "certificate"
	case errors.As(err, &dns):
		return "dns"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case errors.As(err, &record), errors.As(err, &alert):
		return "tls"
	default:
		return "other"
	}
}
