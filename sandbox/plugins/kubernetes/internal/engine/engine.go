// Package engine is the plugin's way to talk to the Pulumi engine that started it.
package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Severity is the weight of a log line.
type Severity = pulumirpc.LogSeverity

// The severities that the plugin uses.
const (
	Debug   = pulumirpc.LogSeverity_DEBUG
	Info    = pulumirpc.LogSeverity_INFO
	Warning = pulumirpc.LogSeverity_WARNING
)

// Engine sends log lines to the engine. Without an address (a plugin started by hand) it is silent.
type Engine struct {
	client pulumirpc.EngineClient
}

// Connect returns an Engine at host:port; no connection is made before the first line.
func Connect(address string) (*Engine, error) {
	if address == "" {
		return &Engine{}, nil
	}
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connecting to the Pulumi engine at %s: %w", address, err)
	}
	return &Engine{client: pulumirpc.NewEngineClient(connection)}, nil
}

// Log shows a line that stays on the screen.
func (e *Engine) Log(ctx context.Context, severity Severity, urn, message string) {
	e.send(ctx, severity, urn, message, false)
}

// Status shows a line beside the resource until the next one; an empty message clears it.
func (e *Engine) Status(ctx context.Context, severity Severity, urn, message string) {
	e.send(ctx, severity, urn, message, true)
}

func (e *Engine) send(ctx context.Context, severity Severity, urn, message string, ephemeral bool) {
	if e.client == nil {
		return
	}
	request := &pulumirpc.LogRequest{
		Severity:  severity,
		Message:   strings.ToValidUTF8(message, "�"),
		Urn:       urn,
		Ephemeral: ephemeral,
	}
	// A line that cannot be shown is no reason to fail the resource it is about.
	_, _ = e.client.Log(ctx, request)
}

// Reporter shows each line about one resource only once.
type Reporter struct {
	ctx    context.Context
	engine *Engine
	urn    string

	mu   sync.Mutex
	seen map[string]bool
}

// NewReporter returns a Reporter for the resource of the given URN.
func NewReporter(ctx context.Context, engine *Engine, urn string) *Reporter {
	return &Reporter{ctx: ctx, engine: engine, urn: urn, seen: map[string]bool{}}
}

// Status shows a passing line, unless it was shown before.
func (r *Reporter) Status(severity Severity, message string) {
	if r.first("status", severity, message) {
		r.engine.Status(r.ctx, severity, r.urn, message)
	}
}

// Log shows a lasting line, unless it was shown before.
func (r *Reporter) Log(severity Severity, message string) {
	if r.first("log", severity, message) {
		r.engine.Log(r.ctx, severity, r.urn, message)
	}
}

// Clear empties the resource's status.
func (r *Reporter) Clear() { r.engine.Status(r.ctx, Info, r.urn, "") }

func (r *Reporter) first(kind string, severity Severity, message string) bool {
	key := fmt.Sprintf("%s %d %s", kind, severity, message)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[key] {
		return false
	}
	r.seen[key] = true
	return true
}
