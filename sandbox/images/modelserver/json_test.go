package main

import (
	"math"
	"strings"
	"testing"
)

// Messages and offsets are those of the real server's parser (RapidJSON's iterative one).
func TestBadJSONIsRefusedWhereItBreaks(t *testing.T) {
	for body, want := range map[string]string{
		`{`:                            "Missing a name for object member. at offset: 1",
		`{"a"`:                         "Missing a colon after a name of object member. at offset: 4",
		`{"a" 1}`:                      "Missing a colon after a name of object member. at offset: 5",
		`{"a":`:                        "Invalid value. at offset: 5",
		`{"a":}`:                       "Invalid value. at offset: 5",
		`{"a":1`:                       "Missing a comma or } after an object member. at offset: 6",
		`{"a":1]`:                      "Missing a comma or } after an object member. at offset: 6",
		`{"a":1,}`:                     "Missing a name for object member. at offset: 7",
		`[`:                            "Invalid value. at offset: 1",
		`[1 2]`:                        "Missing a comma or ] after an array element. at offset: 3",
		`[1,]`:                         "Invalid value. at offset: 3",
		`[01]`:                         "Missing a comma or ] after an array element. at offset: 2",
		`[1.]`:                         "Miss fraction part in number. at offset: 3",
		`[1e]`:                         "Miss exponent in number. at offset: 3",
		`[1e999]`:                      "Number too big to be stored in double. at offset: 1",
		`[tru]`:                        "Invalid value. at offset: 4",
		`["a`:                          "Missing a closing quotation mark in string. at offset: 3",
		"[\"a\tb\"]":                   "Invalid encoding in string. at offset: 3",
		`["\q"]`:                       "Invalid escape character in string. at offset: 2",
		`["\u12G4"]`:                   "Incorrect hex digit after \\u escape in string. at offset: 2",
		`["\uD800"]`:                   "The surrogate pair in string is invalid. at offset: 2",
		`]`:                            "The document is empty. at offset: 0",
		strings.Repeat("[", 1_000_000): "Unspecific syntax error. at offset: 100000",
	} {
		if _, failure := parseJSON(body); failure == nil || failure.message != "JSON Parse error: "+want {
			t.Errorf("%.40s: got %v, want %s", body, failure, want)
		}
	}
}

func TestJSONStringsAreRead(t *testing.T) {
	for body, want := range map[string]string{
		`"plain"`: "plain", `""`: "", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"\u00e9\uD83D\uDE00"`: "é😀", `"é"`: "é",
	} {
		value, failure := parseJSON(body)
		if failure != nil || value.text != want {
			t.Errorf("%s: got %q %v, want %q", body, value.text, failure, want)
		}
	}
}

func TestMessagesQuoteJSONAsTheRealServerDoes(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":[1,-2.5,"x\n",{}],"b":{"c":null}}`:  "{\n    \"a\": [1, -2.5, \"x\\n\", {}],\n    \"b\": {\n        \"c\": null\n    }\n}",
		`[1.0, 1e25, 1e-9, 12345678901234567890]`: "[1.0, 1e+25, 1e-09, 12345678901234567890]",
		`[]`: "[]",
	} {
		value, failure := parseJSON(body)
		if failure != nil || value.debugString() != want {
			t.Errorf("%s: got %s %v, want %s", body, value.debugString(), failure, want)
		}
	}
	long, _ := parseJSON("[" + strings.Repeat("1,", 500) + "1]")
	if quoted := long.debugString(); len(quoted) < maxDebugBytes || len(quoted) > maxDebugBytes+3 {
		t.Errorf("a long value is quoted with %d bytes", len(quoted))
	}
}

func TestFloatsAreWrittenAsTheRealServerDoes(t *testing.T) {
	for value, want := range map[float32]string{
		2.5: "2.5", 0: "0.0", -3: "-3.0", 0.2: "0.2", 1e6: "1e+06", 123456: "123456.0", 9000000: "9e+06", 3e-5: "3e-05",
		1.0 / 3: "0.333333343", 16777217: "16777216.0", 1435774380: "1.43577434e+09", 0.1 + 0.2: "0.3",
		float32(math.Inf(1)): "Infinity", float32(math.Inf(-1)): "-Infinity", math.MaxFloat32: "3.40282347e+38",
	} {
		if got := decimal(value); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := decimal(float32(math.NaN())); got != "NaN" {
		t.Errorf("got %s", got)
	}
}

func FuzzAnyBodyIsAnsweredOrRefused(f *testing.F) {
	for _, seed := range []string{`{"instances": [1]}`, `{"inputs": {"x": [[1]]}}`, `[[[`, `{"a":"\ud800`, "\x00", `{"instances":[{"x":[]}]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		document, failure := parseBody(body)
		if failure != nil {
			return
		}
		document.debugString()
		if inputs, format, failure := readInputs(&document); failure == nil {
			if answer := inputs.render(format); answer == "" {
				t.Error("an answer is empty")
			}
		}
	})
}
