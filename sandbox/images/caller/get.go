package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"net/http"
	"time"
)

// outcome is what `caller get` prints: how far one request came.
type outcome struct {
	// Outcome is "reached" when the host itself answered (a certificate that is not trusted is an answer too), "blocked"
	// when something on the way ended the connection or answered in its place, "refused", or "failed".
	Outcome string    `json:"outcome"`
	Reached bool      `json:"reached"`
	Kind    string    `json:"kind"`  // of the error, as in a load report; "" without one
	Error   string    `json:"error"` // its text
	Status  int       `json:"status"`
	Server  string    `json:"server"` // the Server header
	Body    string    `json:"body"`
	TLS     *tlsState `json:"tls"` // nil when no handshake was done
	Ms      float64   `json:"ms"`
}

type tlsState struct {
	Version string   `json:"version"`
	Subject string   `json:"subject"`
	Issuer  string   `json:"issuer"`
	Names   []string `json:"names"`
}

func getCommand(arguments []string) (any, error) {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	var shared targetFlags
	shared.define(flags)
	positional, err := parse(flags, arguments)
	if err != nil {
		return nil, err
	}
	if len(positional) != 1 {
		return nil, errors.New("get takes one URL")
	}
	target, err := shared.target(positional[0])
	if err != nil {
		return nil, err
	}
	return get(target), nil
}

// get sends one request over a connection of its own.
func get(target *target) *outcome {
	started := time.Now()
	seen := &outcome{}
	if target.tls != nil {
		target.tls.VerifyConnection = func(state tls.ConnectionState) error {
			seen.TLS = describe(state)
			return nil
		}
	}
	connection := &connection{target: target}
	defer connection.close()
	answer, err := connection.send(context.Background())
	seen.Ms = round(milliseconds(time.Since(started)))
	if err != nil {
		seen.Kind, seen.Error = kindOf(err), err.Error()
		seen.Outcome = outcomeOf(err)
		seen.Reached = seen.Outcome == "reached"
		return seen
	}
	seen.Status, seen.Server, seen.Body = answer.status, answer.header.Get("Server"), normalise(answer.body)
	seen.Outcome = "reached"
	if refusedByMesh(answer) {
		seen.Outcome = "blocked"
	}
	seen.Reached = seen.Outcome == "reached"
	return seen
}

// refusedByMesh tells the answer of a sidecar that may not pass a request on: Envoy's own 502 without a body.
func refusedByMesh(answer answer) bool {
	return answer.status == http.StatusBadGateway && answer.header.Get("Server") == "envoy" && len(answer.body) == 0
}

// outcomeOf sorts errors. Under REGISTRY_ONLY a sidecar takes the TCP connection and then drops it, so a connection that
// stood and was closed before any answer counts as blocked, and one that was never taken as refused.
func outcomeOf(err error) string {
	switch kindOf(err) {
	case "certificate":
		return "reached"
	case "reset", "closed":
		return "blocked"
	case "refused":
		return "refused"
	default:
		return "failed"
	}
}

func describe(state tls.ConnectionState) *tlsState {
	described := &tlsState{Version: tls.VersionName(state.Version)}
	if len(state.PeerCertificates) > 0 {
		leaf := state.PeerCertificates[0]
		described.Subject, described.Issuer, described.Names = leaf.Subject.String(), leaf.Issuer.String(), leaf.DNSNames
	}
	return described
}
