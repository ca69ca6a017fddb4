package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

//go:embed packages.py
var packagesScript string

// installed is a Pulumi package of the program's environment, as packagesScript prints it.
type installed struct {
	Name    string                   `json:"name"`
	Version string                   `json:"version"`
	Plugin  *plugin.PulumiPluginJSON `json:"plugin"`
}

// GetRequiredPackages names the plugins that the packages in the program's environment belong to. It makes the virtual
// environment first when there is none.
func (h *host) GetRequiredPackages(
	ctx context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	_, tools, err := resolve(request.GetInfo(), false)
	if err != nil {
		return nil, err
	}
	if err := tools.ValidateVenv(ctx); err != nil {
		log, closer, logErr := h.engineLog(ctx)
		if logErr != nil {
			return nil, logErr
		}
		defer closer.Close()
		err := tools.EnsureVenv(ctx, request.GetInfo().GetProgramDirectory(), false, true,
			log(pulumirpc.LogSeverity_INFO), log(pulumirpc.LogSeverity_ERROR))
		if err != nil {
			return nil, err
		}
	}
	command, err := tools.Command(ctx, "-c", packagesScript)
	if err != nil {
		return nil, err
	}
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("calling `%s` to list the Pulumi packages: %w", command.Path, err)
	}
	var packages []installed
	if err := json.Unmarshal(output, &packages); err != nil {
		return nil, fmt.Errorf("reading the list of Pulumi packages: %w", err)
	}
	response := &pulumirpc.GetRequiredPackagesResponse{}
	for _, found := range packages {
		if dependency := dependencyOf(found); dependency != nil {
			response.Packages = append(response.Packages, dependency)
		}
	}
	return response, nil
}

// dependencyOf names the plugin of a package, or nil when it has none or the version of its plugin cannot be told.
func dependencyOf(found installed) *pulumirpc.PackageDependency {
	dependency := &pulumirpc.PackageDependency{
		Name: strings.TrimPrefix(found.Name, "pulumi-"), Version: found.Version, Kind: "resource",
	}
	if described := found.Plugin; described != nil {
		if !described.Resource {
			return nil
		}
		if described.Name != "" {
			dependency.Name = described.Name
		}
		dependency.Server = described.Server
		dependency.Parameterization = parameterization(described.Parameterization)
		dependency.Extension = parameterization(described.ExtensionParameterization)
	}
	if found.Plugin != nil && found.Plugin.Version != "" {
		dependency.Version = found.Plugin.Version
	} else if version, ok := pluginVersion(found.Version); ok {
		dependency.Version = version
	} else {
		return nil
	}
	if !strings.HasPrefix(dependency.Version, "v") {
		dependency.Version = "v" + dependency.Version
	}
	return dependency
}

func parameterization(described *plugin.PulumiParameterizationJSON) *pulumirpc.PackageParameterization {
	if described == nil {
		return nil
	}
	return &pulumirpc.PackageParameterization{
		Name: described.Name, Version: described.Version, Value: described.Value,
	}
}

var pythonVersion = regexp.MustCompile(`^(\d+(?:\.\d+)*)(?:(a|b|rc)(\d+))?(?:\.post(\d+))?(?:\.dev(\d+))?$`)

// pluginVersion translates a Python package's version (PEP 440) to its plugin's (semver): 1.2 is 1.2.0, 1.2.3rc4 is
// 1.2.3-rc.4, 1.2.3.post4 is 1.2.3+post4. Epochs and local versions have no translation.
func pluginVersion(version string) (string, bool) {
	match := pythonVersion.FindStringSubmatch(version)
	if match == nil {
		return "", false
	}
	numbers := strings.Split(match[1], ".")
	for len(numbers) < 3 {
		numbers = append(numbers, "0")
	}
	result := strings.Join(numbers, ".")
	if match[2] != "" {
		result += "-" + map[string]string{"a": "alpha", "b": "beta", "rc": "rc"}[match[2]] + "." + match[3]
	}
	separator := "+"
	if match[4] != "" {
		result, separator = result+separator+"post"+match[4], ""
	}
	if match[5] != "" {
		result += separator + "dev" + match[5]
	}
	return result, true
}

// engineLog connects to the engine and gives writers whose text it shows as passing messages.
func (h *host) engineLog(ctx context.Context) (func(pulumirpc.LogSeverity) io.Writer, io.Closer, error) {
	connection, err := grpc.NewClient(
		h.engineAddress, grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions())
	if err != nil {
		return nil, nil, fmt.Errorf("language host could not make connection to engine: %w", err)
	}
	engine, stream := pulumirpc.NewEngineClient(connection), rand.Int32()
	return func(severity pulumirpc.LogSeverity) io.Writer {
		return logWriter(func(text string) error {
			_, err := engine.Log(ctx, &pulumirpc.LogRequest{
				Message: strings.ToValidUTF8(text, "\uFFFD"), Severity: severity, StreamId: stream, Ephemeral: true,
			})
			return err
		})
	}, connection, nil
}

type logWriter func(text string) error

func (write logWriter) Write(text []byte) (int, error) {
	if err := write(string(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}
