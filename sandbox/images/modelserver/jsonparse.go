package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKind is a JSON type under the name that TF Serving's messages give it.
type jsonKind string

const (
	jsonNull   jsonKind = "Null"
	jsonFalse  jsonKind = "False"
	jsonTrue   jsonKind = "True"
	jsonObject jsonKind = "Object"
	jsonArray  jsonKind = "Array"
	jsonString jsonKind = "String"
	jsonNumber jsonKind = "Number"
)

// jsonValue is a parsed JSON value. Members keep their order and their duplicates, since error messages show both.
type jsonValue struct {
	kind    jsonKind
	text    string // of a string; of a whole number its canonical digits, of another number ""
	number  float64
	items   []jsonValue
	members []jsonMember
}

type jsonMember struct {
	name  string
	value jsonValue
}

// member finds the first member of that name.
func (v *jsonValue) member(name string) *jsonValue {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value
		}
	}
	return nil
}

// maxJSONDepth bounds recursion, so that no request body can exhaust the stack.
const maxJSONDepth = 100_000

// jsonParser reads what TF Serving's parser does: JSON plus NaN, Inf and Infinity, stopping at the end of the first
// value. Its messages and offsets are those of that parser (RapidJSON, iterative).
type jsonParser struct {
	data  string
	pos   int
	depth int
}

type jsonError struct {
	message string
	offset  int
}

const (
	errValueInvalid = "Invalid value."
	errMissName     = "Missing a name for object member."
	errMissColon    = "Missing a colon after a name of object member."
	errMissBrace    = "Missing a comma or } after an object member."
	errMissBracket  = "Missing a comma or ] after an array element."
	errMissQuote    = "Missing a closing quotation mark in string."
	errBadEscape    = "Invalid escape character in string."
	errBadHex       = "Incorrect hex digit after \\u escape in string."
	errBadSurrogate = "The surrogate pair in string is invalid."
	errBadEncoding  = "Invalid encoding in string."
	errMissFraction = "Miss fraction part in number."
	errMissExponent = "Miss exponent in number."
	errTooBig       = "Number too big to be stored in double."
)

// parseJSON reads one JSON value; the error is TF Serving's own.
func parseJSON(data string) (value jsonValue, failure *status) {
	if data == "" {
		return jsonValue{}, invalid("JSON Parse error: The document is empty")
	}
	p := &jsonParser{data: data}
	defer func() {
		if problem := recover(); problem != nil {
			broken, ours := problem.(jsonError)
			if !ours {
				panic(problem)
			}
			failure = invalid(fmt.Sprintf("JSON Parse error: %s at offset: %d", broken.message, broken.offset))
		}
	}()
	p.skipSpace()
	if next := p.peek(); next == 0 || strings.IndexByte("]},:", next) >= 0 {
		p.fail("The document is empty.", p.pos)
	}
	return p.value(), nil
}

func (p *jsonParser) fail(message string, offset int) { panic(jsonError{message, offset}) }

// peek returns the next byte, 0 at the end: a NUL in the input ends the document too, as in the real parser.
func (p *jsonParser) peek() byte {
	if p.pos >= len(p.data) {
		return 0
	}
	return p.data[p.pos]
}

func (p *jsonParser) skipSpace() {
	for p.pos < len(p.data) && strings.IndexByte(" \n\r\t", p.data[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *jsonParser) consume(c byte) bool {
	if p.peek() == c && c != 0 {
		p.pos++
		return true
	}
	return false
}

func (p *jsonParser) value() jsonValue {
	switch p.peek() {
	case '{':
		return p.nested(p.object)
	case '[':
		return p.nested(p.array)
	case '"':
		return jsonValue{kind: jsonString, text: p.string()}
	case 't':
		return p.literal("true", jsonTrue)
	case 'f':
		return p.literal("false", jsonFalse)
	case 'n':
		return p.literal("null", jsonNull)
	default:
		return p.number()
	}
}

func (p *jsonParser) nested(read func() jsonValue) jsonValue {
	if p.depth++; p.depth > maxJSONDepth {
		p.fail("Unspecific syntax error.", p.pos)
	}
	defer func() { p.depth-- }()
	return read()
}

func (p *jsonParser) literal(word string, kind jsonKind) jsonValue {
	for i := range len(word) {
		if !p.consume(word[i]) {
			p.fail(errValueInvalid, p.pos)
		}
	}
	return jsonValue{kind: kind}
}

func (p *jsonParser) object() jsonValue {
	object := jsonValue{kind: jsonObject}
	p.pos++
	p.skipSpace()
	if p.consume('}') {
		return object
	}
	for {
		if p.peek() != '"' {
			p.fail(errMissName, p.pos)
		}
		name := p.string()
		p.skipSpace()
		if !p.consume(':') {
			p.fail(errMissColon, p.pos)
		}
		p.skipSpace()
		object.members = append(object.members, jsonMember{name, p.value()})
		p.skipSpace()
		if p.consume('}') {
			return object
		}
		if !p.consume(',') {
			p.fail(errMissBrace, p.pos)
		}
		p.skipSpace()
	}
}

func (p *jsonParser) array() jsonValue {
	array := jsonValue{kind: jsonArray}
	p.pos++
	p.skipSpace()
	if p.consume(']') {
		return array
	}
	for {
		array.items = append(array.items, p.value())
		p.skipSpace()
		if p.consume(']') {
			return array
		}
		if !p.consume(',') {
			p.fail(errMissBracket, p.pos)
		}
		p.skipSpace()
	}
}

func (p *jsonParser) string() string {
	p.pos++
	start := p.pos
	for p.pos < len(p.data) && p.data[p.pos] != '"' && p.data[p.pos] != '\\' && p.data[p.pos] >= 0x20 {
		p.pos++
	}
	if p.peek() == '"' {
		p.pos++
		return p.data[start : p.pos-1]
	}
	text := []byte(p.data[start:p.pos])
	for {
		switch next := p.peek(); {
		case next == '"':
			p.pos++
			return string(text)
		case next == '\\':
			text = p.escape(text)
		case next == 0:
			p.fail(errMissQuote, p.pos)
		case next < 0x20:
			p.fail(errBadEncoding, p.pos)
		default:
			text = append(text, next)
			p.pos++
		}
	}
}

var jsonEscapes = map[byte]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

func (p *jsonParser) escape(text []byte) []byte {
	start := p.pos
	p.pos++
	if plain, known := jsonEscapes[p.peek()]; known {
		p.pos++
		return append(text, plain)
	}
	if !p.consume('u') {
		p.fail(errBadEscape, start)
	}
	first := p.hex(start)
	if !utf16.IsSurrogate(first) {
		return utf8.AppendRune(text, first)
	}
	if first >= 0xDC00 || !p.consume('\\') || !p.consume('u') {
		p.fail(errBadSurrogate, start)
	}
	pair := utf16.DecodeRune(first, p.hex(start))
	if pair == utf8.RuneError {
		p.fail(errBadSurrogate, start)
	}
	return utf8.AppendRune(text, pair)
}

func (p *jsonParser) hex(start int) rune {
	if p.pos+4 > len(p.data) {
		p.fail(errBadHex, start)
	}
	number, err := strconv.ParseUint(p.data[p.pos:p.pos+4], 16, 16)
	if err != nil {
		p.fail(errBadHex, start)
	}
	p.pos += 4
	return rune(number)
}

func (p *jsonParser) digits() bool {
	start := p.pos
	for p.pos < len(p.data) && p.data[p.pos] >= '0' && p.data[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

func (p *jsonParser) number() jsonValue {
	start := p.pos
	negative := p.consume('-')
	switch {
	case p.consume('0'):
	case p.digits():
	default:
		return p.notFinite(negative)
	}
	whole := true
	if p.consume('.') {
		whole = false
		if !p.digits() {
			p.fail(errMissFraction, p.pos)
		}
	}
	if p.consume('e') || p.consume('E') {
		whole = false
		if !p.consume('+') {
			p.consume('-')
		}
		if !p.digits() {
			p.fail(errMissExponent, p.pos)
		}
	}
	text := p.data[start:p.pos]
	number, err := strconv.ParseFloat(text, 64)
	if err != nil && math.IsInf(number, 0) {
		p.fail(errTooBig, start)
	}
	value := jsonValue{kind: jsonNumber, number: number}
	if _, err := strconv.ParseInt(text, 10, 64); whole && err == nil {
		value.text = text
	} else if _, err := strconv.ParseUint(text, 10, 64); whole && err == nil {
		value.text = text
	}
	return value
}

func (p *jsonParser) notFinite(negative bool) jsonValue {
	for _, word := range [...]string{"NaN", "Infinity", "Inf"} {
		if !strings.HasPrefix(p.data[p.pos:], word) {
			continue
		}
		p.pos += len(word)
		number := math.NaN()
		if word != "NaN" {
			number = math.Inf(1)
		}
		if negative {
			number = -number
		}
		return jsonValue{kind: jsonNumber, number: number}
	}
	p.fail(errValueInvalid, p.pos)
	return jsonValue{}
}
