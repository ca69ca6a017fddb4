package main

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
)

func TestAPackagesVersionNamesItsPlugins(t *testing.T) {
	for python, want := range map[string]string{
		"4.34.2":           "4.34.2",
		"1.0":              "1.0.0",
		"2":                "2.0.0",
		"1.2.3a4":          "1.2.3-alpha.4",
		"1.2.3b4":          "1.2.3-beta.4",
		"1.2.3rc4":         "1.2.3-rc.4",
		"1.2.3.post4":      "1.2.3+post4",
		"1.2.3.dev5":       "1.2.3+dev5",
		"1.2.3.post4.dev5": "1.2.3+post4dev5",
		"1!2.3":            "",
		"1.2.3+local":      "",
		"":                 "",
		"not a version":    "",
	} {
		if got, ok := pluginVersion(python); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", python, got, ok, want)
		}
	}
}

func TestAPackageSaysWhichPluginItBelongsTo(t *testing.T) {
	for name, test := range map[string]struct {
		found         installed
		name, version string
	}{
		"its own name and version": {
			installed{"pulumi-acme", "1.0", nil}, "acme", "v1.0.0",
		},
		"the described ones": {
			installed{"acme-sdk", "1.0", &plugin.PulumiPluginJSON{Resource: true, Name: "acme", Version: "2.0.0"}},
			"acme", "v2.0.0",
		},
		"no plugin": {
			installed{"pulumi-acme", "1.0", &plugin.PulumiPluginJSON{Resource: false, Name: "acme"}}, "", "",
		},
		"a version that says nothing": {
			installed{"pulumi-acme", "1!1.0", nil}, "", "",
		},
	} {
		got := dependencyOf(test.found)
		if (got == nil) != (test.name == "") || got.GetName() != test.name || got.GetVersion() != test.version {
			t.Errorf("%s: got %v, want %q %q", name, got, test.name, test.version)
		}
	}
}
