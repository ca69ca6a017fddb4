package await

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/client-go/util/jsonpath"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

// custom waits for what the object's own annotation asks for.
type custom struct {
	alone
	wanted []expectation
}

type expectation interface {
	// holds tells whether the object is as wanted, and in words how it is.
	holds(obj map[string]any) (bool, string)
}

// parseWaitFor reads the annotation: one expression, or a JSON list of them that all have to hold.
func parseWaitFor(s Subject, annotation string) (*custom, error) {
	var expressions []string
	if err := json.Unmarshal([]byte(annotation), &expressions); err != nil {
		expressions = []string{annotation}
	}
	if len(expressions) == 0 {
		return nil, fmt.Errorf("at least one condition must be specified")
	}
	wanted := &custom{alone: newAlone(s)}
	for _, expression := range expressions {
		parsed, err := parseExpectation(expression)
		if err != nil {
			return nil, err
		}
		wanted.wanted = append(wanted.wanted, parsed)
	}
	return wanted, nil
}

func parseExpectation(expression string) (expectation, error) {
	if text, ok := strings.CutPrefix(expression, "condition="); ok {
		name, status, given := strings.Cut(text, "=")
		if !given {
			status = "True"
		}
		return statusCondition{name: name, status: status}, nil
	}
	if text, ok := strings.CutPrefix(expression, "jsonpath="); ok {
		return parsePathValue(text)
	}
	return nil, fmt.Errorf(`expected a "jsonpath=" or "condition=" prefix, got %q`, expression)
}

// statusCondition wants a condition of the object's status to have a value.
type statusCondition struct{ name, status string }

func (c statusCondition) holds(obj map[string]any) (bool, string) {
	list, found := object.Field(obj, "status", "conditions")
	conditions, _ := list.([]any)
	if !found {
		return false, "Has no .status.conditions"
	}
	for _, raw := range conditions {
		condition, _ := raw.(map[string]any)
		if !strings.EqualFold(object.Text(condition, "type"), c.name) {
			continue
		}
		if older(obj, condition) {
			return false, "Waiting for the status of the newest generation"
		}
		status := object.Text(condition, "status")
		return strings.EqualFold(status, c.status),
			fmt.Sprintf("Resource has condition %s=%s (want %s)", c.name, status, c.status)
	}
	return false, fmt.Sprintf("Waiting for condition %s", c.name)
}

// older tells whether what was observed is of an older generation than the object's.
func older(obj, condition map[string]any) bool {
	generation, ok := object.Field(obj, "metadata", "generation")
	current, isNumber := generation.(int64)
	if !ok || !isNumber {
		return false
	}
	for _, holder := range []map[string]any{condition, obj} {
		path := []string{"observedGeneration"}
		if _, isObject := holder["metadata"]; isObject {
			path = []string{"status", "observedGeneration"}
		}
		if observed, ok := object.Field(holder, path...); ok {
			seen, isNumber := observed.(int64)
			return isNumber && seen < current
		}
	}
	return false
}

// pathValue wants a JSONPath to lead to a value, or to anything at all.
type pathValue struct {
	path   string
	value  string
	parsed *jsonpath.JSONPath
}

func parsePathValue(text string) (expectation, error) {
	if strings.HasPrefix(text, "'") && strings.HasSuffix(text, "'") {
		return nil, fmt.Errorf("%s should omit shell quotes", text)
	}
	end := strings.LastIndex(text, "}")
	if !strings.HasPrefix(text, "{") || end < 0 {
		return nil, fmt.Errorf("%s should be wrapped in brackets { ... }", text)
	}
	path, rest := text[:end+1], text[end+1:]
	if rest == "=" {
		return nil, fmt.Errorf("%s= requires a value", path)
	}
	if rest != "" && rest[0] != '=' {
		return nil, fmt.Errorf("format should be {.path}=value or {.path}, got %q", text)
	}
	parsed := jsonpath.New("waitFor").AllowMissingKeys(true)
	if err := parsed.Parse(path); err != nil {
		return nil, fmt.Errorf("parsing %q: %w", path, err)
	}
	return pathValue{path: path, value: strings.TrimPrefix(rest, "="), parsed: parsed}, nil
}

func (p pathValue) holds(obj map[string]any) (bool, string) {
	if older(obj, nil) {
		return false, "Waiting for the status of the newest generation"
	}
	var text bytes.Buffer
	if err := p.parsed.Execute(&text, obj); err != nil || text.Len() == 0 {
		return false, p.path + " selected nothing"
	}
	if p.value == "" || text.String() == p.value {
		return true, "Found " + p.path
	}
	return false, fmt.Sprintf("Waiting for %s=%s (found %q)", p.path, p.value, text.String())
}

func (c *custom) met() bool {
	if !c.seen {
		return false
	}
	for _, wanted := range c.wanted {
		holds, message := wanted.holds(c.live.Object)
		c.Report.Status(engine.Info, message)
		if !holds {
			return false
		}
	}
	return true
}

func (c *custom) reasons() []string {
	for _, wanted := range c.wanted {
		if holds, message := wanted.holds(c.live.Object); !holds {
			return []string{message}
		}
	}
	return nil
}
