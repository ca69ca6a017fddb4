package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// target is where requests go and the bytes that are sent there; it is the same for all requests of a run.
type target struct {
	address string // host:port to connect to
	tls     *tls.Config
	request []byte
	method  string
	timeout time.Duration
}

// targetFlags are the flags that load and get share.
type targetFlags struct {
	method, body, host, resolve, ca string
	insecure                        bool
	timeout                         time.Duration
	headers                         headers
}

func (t *targetFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&t.method, "method", "", "")
	flags.StringVar(&t.body, "body", "", "")
	flags.StringVar(&t.host, "host", "", "")
	flags.StringVar(&t.resolve, "resolve", "", "")
	flags.StringVar(&t.ca, "ca", "", "")
	flags.BoolVar(&t.insecure, "insecure", false, "")
	flags.DurationVar(&t.timeout, "timeout", 5*time.Second, "")
	flags.Var(&t.headers, "header", "")
}

// target builds what is sent to an http or https URL. The method is POST with a body and GET without, unless given.
func (t *targetFlags) target(address string) (*target, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Hostname() == "" {
		return nil, fmt.Errorf("%q is no http or https URL", address)
	}
	if t.timeout <= 0 {
		return nil, fmt.Errorf("--timeout is %s; it has to be more than 0", t.timeout)
	}
	built := &target{timeout: t.timeout, method: t.method}
	if built.method == "" {
		built.method = http.MethodGet
		if t.body != "" {
			built.method = http.MethodPost
		}
	}
	if strings.ToUpper(built.method) != built.method || strings.ContainsAny(built.method, " \r\n") {
		return nil, fmt.Errorf("--method is %q; a method is upper case, like POST", built.method)
	}
	if built.address, err = t.dialAddress(parsed); err != nil {
		return nil, err
	}
	if built.tls, err = t.tlsConfig(parsed); err != nil {
		return nil, err
	}
	built.request = t.requestBytes(parsed, built.method)
	return built, nil
}

func (t *targetFlags) dialAddress(parsed *url.URL) (string, error) {
	port := parsed.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[parsed.Scheme]
	}
	if t.resolve == "" {
		return net.JoinHostPort(parsed.Hostname(), port), nil
	}
	host, rest, _ := strings.Cut(t.resolve, ":")
	from, address, found := strings.Cut(rest, ":")
	if _, err := strconv.ParseUint(from, 10, 16); err != nil || !found || net.ParseIP(strings.Trim(address, "[]")) == nil {
		return "", fmt.Errorf("--resolve is %q; it has to be HOST:PORT:ADDRESS", t.resolve)
	}
	if host != parsed.Hostname() || from != port {
		return net.JoinHostPort(parsed.Hostname(), port), nil
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), port), nil
}

func (t *targetFlags) tlsConfig(parsed *url.URL) (*tls.Config, error) {
	if t.insecure && t.ca != "" {
		return nil, errors.New("--insecure and --ca exclude each other")
	}
	if parsed.Scheme == "http" {
		return nil, nil
	}
	config := &tls.Config{ServerName: parsed.Hostname(), InsecureSkipVerify: t.insecure, NextProtos: []string{"http/1.1"}}
	if t.ca != "" {
		bundle, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(bundle) {
			return nil, fmt.Errorf("--ca %s holds no certificate", t.ca)
		}
	}
	return config, nil
}

func (t *targetFlags) requestBytes(parsed *url.URL, method string) []byte {
	host := parsed.Host
	if t.host != "" {
		host = t.host
	}
	var request strings.Builder
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: caller\r\n", method, parsed.RequestURI(), host)
	for _, header := range t.headers {
		request.WriteString(header + "\r\n")
	}
	if t.body != "" || method == http.MethodPost || method == http.MethodPut {
		if !t.headers.have("Content-Type") {
			request.WriteString("Content-Type: application/json\r\n")
		}
		fmt.Fprintf(&request, "Content-Length: %d\r\n", len(t.body))
	}
	request.WriteString("\r\n" + t.body)
	return []byte(request.String())
}

func (h headers) have(name string) bool {
	for _, header := range h {
		if given, _, _ := strings.Cut(header, ":"); strings.EqualFold(given, name) {
			return true
		}
	}
	return false
}
