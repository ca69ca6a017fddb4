package diff

import (
	"fmt"
	"strconv"
	"strings"
)

// Path leads to a property: strings are keys, ints are indexes. The string "*" stands for any of them in patterns.
type Path []any

// With returns the path to a child.
func (p Path) With(step any) Path {
	longer := make(Path, len(p), len(p)+1)
	copy(longer, p)
	return append(longer, step)
}

// String writes a path as the engine does: dots between keys, brackets around indexes and around odd keys.
func (p Path) String() string {
	var text strings.Builder
	for i, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&text, "[%d]", step)
		case string:
			switch {
			case strings.ContainsAny(step, `."[]`):
				fmt.Fprintf(&text, `["%s"]`, strings.ReplaceAll(step, `"`, `\"`))
			case i > 0:
				text.WriteString("." + step)
			default:
				text.WriteString(step)
			}
		}
	}
	return text.String()
}

// ParsePath reads what String writes, and "*" or [*] for any key or index.
func ParsePath(text string) (Path, error) {
	var path Path
	rest := strings.TrimPrefix(text, ".")
	for rest != "" {
		switch {
		case rest[0] == '.':
			rest = rest[1:]
		case strings.HasPrefix(rest, `["`):
			key, after, err := quotedKey(rest[2:])
			if err != nil {
				return nil, fmt.Errorf("property path %q: %w", text, err)
			}
			path, rest = append(path, key), after
		case rest[0] == '[':
			inside, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return nil, fmt.Errorf("property path %q: missing closing bracket", text)
			}
			rest = after
			if inside == "*" {
				path = append(path, "*")
				continue
			}
			index, err := strconv.Atoi(inside)
			if err != nil {
				return nil, fmt.Errorf("property path %q: invalid array index %q", text, inside)
			}
			path = append(path, index)
		default:
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			path, rest = append(path, rest[:end]), rest[end:]
		}
	}
	return path, nil
}

func quotedKey(text string) (key, rest string, err error) {
	var built strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			built.WriteByte(text[i])
		case strings.HasPrefix(text[i:], `"]`):
			return built.String(), text[i+2:], nil
		default:
			built.WriteByte(text[i])
		}
	}
	return "", "", fmt.Errorf("missing closing quote in property name")
}

// Contains tells whether the other path is this one or leads to something below it.
func (p Path) Contains(other Path) bool {
	if len(other) < len(p) {
		return false
	}
	for i, step := range p {
		if !sameStep(step, other[i]) {
			return false
		}
	}
	return true
}

func sameStep(pattern, step any) bool { return pattern == "*" || pattern == step }

// touched tells whether a change at path concerns this pattern: the change lies at or below it, or the value that came
// or changed there has something at the pattern's remaining path.
func (p Path) touched(path Path, value any) bool {
	if p.Contains(path) {
		return true
	}
	if len(path) >= len(p) {
		return false
	}
	for i, step := range path {
		if !sameStep(p[i], step) {
			return false
		}
	}
	return exists(value, p[len(path):])
}

func exists(value any, path Path) bool {
	if len(path) == 0 {
		return true
	}
	switch value := value.(type) {
	case map[string]any:
		key, _ := path[0].(string)
		next, ok := value[key]
		return ok && exists(next, path[1:])
	case []any:
		for _, element := range value {
			if path[0] == "*" && exists(element, path[1:]) {
				return true
			}
		}
	}
	return false
}
