package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// rpc is what `caller grpc` prints: what became of one unary call. A message is bytes to it, whatever they mean.
type rpc struct {
	Kind    string `json:"kind"`  // of the error, as in a load report; "" without one
	Error   string `json:"error"` // its text
	Status  int    `json:"status"`
	Code    int    `json:"code"`    // gRPC's own status; -1 when the answer has none
	Details string `json:"details"` // its text
	Message string `json:"message"` // of the answer, in base64; "" without one
}

func grpcCommand(arguments []string) (any, error) {
	flags := flag.NewFlagSet("grpc", flag.ContinueOnError)
	var sent headers
	flags.Var(&sent, "header", "")
	host := flags.String("host", "", "")
	encoded := flags.String("message", "", "")
	timeout := flags.Duration("timeout", 5*time.Second, "")
	positional, err := parse(flags, arguments)
	if err != nil {
		return nil, err
	}
	if len(positional) != 1 {
		return nil, errors.New("grpc takes one URL")
	}
	address, err := url.Parse(positional[0])
	if err != nil {
		return nil, err
	}
	if address.Scheme != "http" || address.Hostname() == "" || address.Path == "" {
		return nil, fmt.Errorf("%q is no http URL with a path, which is the method", positional[0])
	}
	message, err := base64.StdEncoding.DecodeString(*encoded)
	if err != nil {
		return nil, fmt.Errorf("--message: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(framed(message)))
	if err != nil {
		return nil, err
	}
	request.Header, request.Host = sent.values(), *host
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	return call(request), nil
}

// call makes one unary call over an HTTP/2 connection of its own.
func call(request *http.Request) *rpc {
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	var cut atomic.Value
	transport := &http.Transport{Protocols: only, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		socket, err := new(net.Dialer).DialContext(ctx, network, address)
		return &watched{socket, &cut}, err
	}}
	defer transport.CloseIdleConnections()
	seen := &rpc{Code: -1}
	response, err := transport.RoundTrip(request)
	if err == nil {
		defer response.Body.Close()
		seen.Status = response.StatusCode
		var body []byte
		if body, err = io.ReadAll(response.Body); err == nil {
			seen.read(response, body)
			return seen
		}
	}
	seen.Kind, seen.Error = kindOf(err), err.Error()
	if end, found := cut.Load().(ending); found && seen.Kind == "other" {
		seen.Kind = kindOf(end.error)
	}
	return seen
}

// watched keeps what ended a connection: of one that ends before the server's first frame, net/http does not say it.
type watched struct {
	net.Conn
	cut *atomic.Value
}

type ending struct{ error }

func (w *watched) Read(into []byte) (int, error) {
	count, err := w.Conn.Read(into)
	if err != nil {
		w.cut.CompareAndSwap(nil, ending{err})
	}
	return count, err
}

// read takes the status from the trailers, or from the headers of an answer that has nothing else.
func (r *rpc) read(response *http.Response, body []byte) {
	for _, part := range []http.Header{response.Header, response.Trailer} {
		if code, err := strconv.Atoi(part.Get("Grpc-Status")); err == nil {
			r.Code, r.Details = code, part.Get("Grpc-Message")
		}
	}
	if r.Code >= 0 && len(body) >= prefix {
		r.Message = base64.StdEncoding.EncodeToString(body[prefix:])
	}
}

// prefix is what stands before a message: whether it is compressed, and its length.
const prefix = 5

func framed(message []byte) []byte {
	frame := make([]byte, prefix, prefix+len(message))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(message)))
	return append(frame, message...)
}
