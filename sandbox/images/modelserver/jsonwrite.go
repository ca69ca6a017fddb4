package main

import (
	"math"
	"strconv"
	"strings"
)

// prettyWriter lays JSON out as TF Serving's writer does: four spaces, arrays on one line when singleLine is set. Reading
// its answers needs no such care, but a byte-exact body is what lets a test hold documented answers against ours.
type prettyWriter struct {
	out        []byte
	levels     []jsonLevel
	singleLine bool
}

type jsonLevel struct {
	array  bool
	values int
}

// prefix writes what stands between the value before and the next one.
func (w *prettyWriter) prefix() {
	if len(w.levels) == 0 {
		return
	}
	level := &w.levels[len(w.levels)-1]
	switch {
	case level.array:
		if level.values > 0 {
			w.out = append(w.out, ',')
			if w.singleLine {
				w.out = append(w.out, ' ')
			}
		}
		if !w.singleLine {
			w.newline()
		}
	case level.values%2 == 1:
		w.out = append(w.out, ": "...)
	default:
		if level.values > 0 {
			w.out = append(w.out, ',')
		}
		w.newline()
	}
	level.values++
}

func (w *prettyWriter) newline() {
	w.out = append(w.out, '\n')
	for range len(w.levels) {
		w.out = append(w.out, "    "...)
	}
}

func (w *prettyWriter) begin(array bool) {
	w.prefix()
	if array {
		w.out = append(w.out, '[')
	} else {
		w.out = append(w.out, '{')
	}
	w.levels = append(w.levels, jsonLevel{array: array})
}

func (w *prettyWriter) end() {
	level := w.levels[len(w.levels)-1]
	w.levels = w.levels[:len(w.levels)-1]
	if level.values > 0 && !(level.array && w.singleLine) {
		w.newline()
	}
	if level.array {
		w.out = append(w.out, ']')
	} else {
		w.out = append(w.out, '}')
	}
}

func (w *prettyWriter) raw(text string) {
	w.prefix()
	w.out = append(w.out, text...)
}

var shortEscapes = map[byte]byte{
	'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't',
}

// string writes a key or a string value; only what JSON forbids is escaped.
func (w *prettyWriter) string(text string) {
	const hex = "0123456789ABCDEF"
	w.prefix()
	w.out = append(w.out, '"')
	for i := range len(text) {
		c := text[i]
		if letter, escaped := shortEscapes[c]; escaped {
			w.out = append(w.out, '\\', letter)
		} else if c < 0x20 {
			w.out = append(w.out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			w.out = append(w.out, c)
		}
	}
	w.out = append(w.out, '"')
}

// errorBody is the body of every failed REST call.
func errorBody(message string) string {
	w := &prettyWriter{}
	w.begin(false)
	w.string("error")
	w.string(message)
	w.end()
	return string(w.out)
}

// maxDebugBytes is where TF Serving stops quoting a JSON value in a message; the token that crosses it is still whole.
const maxDebugBytes = 256

// debugString quotes a value in an error message, cut after about 256 bytes.
func (v *jsonValue) debugString() string {
	w := &prettyWriter{singleLine: true}
	w.debug(v)
	return string(w.out)
}

// debug writes v and reports whether there was room for all of it.
func (w *prettyWriter) debug(v *jsonValue) bool {
	room := func() bool { return len(w.out) < maxDebugBytes }
	if !room() {
		return false
	}
	switch v.kind {
	case jsonObject:
		w.begin(false)
		for i := range v.members {
			if !room() {
				return false
			}
			w.string(v.members[i].name)
			if !w.debug(&v.members[i].value) {
				return false
			}
		}
	case jsonArray:
		w.begin(true)
		for i := range v.items {
			if !w.debug(&v.items[i]) {
				return false
			}
		}
	case jsonString:
		w.string(v.text)
		return true
	case jsonNumber:
		return w.debugNumber(v)
	default:
		w.raw(strings.ToLower(string(v.kind)))
		return true
	}
	if !room() {
		return false
	}
	w.end()
	return true
}

func (w *prettyWriter) debugNumber(v *jsonValue) bool {
	if v.text != "" {
		w.raw(v.text)
		return true
	}
	if math.IsNaN(v.number) || math.IsInf(v.number, 0) {
		w.prefix() // the real writer refuses the token after having written what stands before it
		return false
	}
	text := strconv.FormatFloat(v.number, 'f', -1, 64)
	if size := math.Abs(v.number); size != 0 && (size >= 1e21 || size < 1e-6) {
		text = strconv.FormatFloat(v.number, 'e', -1, 64)
	} else if !strings.Contains(text, ".") {
		text += ".0"
	}
	w.raw(text)
	return true
}

// decimal writes a float as TF Serving's answers have it: six significant digits if these give the same float back,
// nine otherwise, with ".0" added to whole numbers.
func decimal(value float32) string {
	wide := float64(value)
	switch {
	case math.IsNaN(wide):
		return "NaN"
	case math.IsInf(wide, 1):
		return "Infinity"
	case math.IsInf(wide, -1):
		return "-Infinity"
	}
	text := strconv.FormatFloat(wide, 'g', 6, 32)
	if same, err := strconv.ParseFloat(text, 32); err != nil || float32(same) != value {
		text = strconv.FormatFloat(wide, 'g', 9, 32)
	}
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}
