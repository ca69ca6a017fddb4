package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

const dynamicProviderName = "pulumi-resource-pulumi-python"

// RunPlugin runs a plugin that is written in Python, and streams what it prints: a policy pack through the SDK's
// `pulumi.policy`, a component or provider by its `__main__.py`, or, when it is a package, through `pulumi.run.plugin`.
func (h *host) RunPlugin(
	request *pulumirpc.RunPluginRequest, server pulumirpc.LanguageRuntime_RunPluginServer,
) error {
	if request.GetAttachDebugger() {
		return errors.New("this language host is a stand-in and cannot attach a debugger")
	}
	ctx, isPolicy := server.Context(), request.GetKind() == string(apitype.AnalyzerPlugin)
	options, tools, err := resolve(request.GetInfo(), !isPolicy)
	if err != nil {
		return err
	}
	args, err := pluginArguments(options, request, isPolicy)
	if err != nil {
		return err
	}
	command, err := tools.Command(ctx, args...)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(server, false)
	if err != nil {
		return err
	}
	defer closer.Close()
	command.Env = append(environment(command), changedVariables(request.GetEnv())...)
	command.Dir, command.Stdout, command.Stderr = request.GetPwd(), stdout, stderr
	started := command.Wait
	if isPolicy {
		command.Dir = request.GetInfo().GetProgramDirectory()
		if started, err = attachPolicyPack(ctx, command, stdout); err != nil {
			return err
		}
	}
	err = h.wait(command, started)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code := &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(exit.ExitCode())}
		return server.Send(&pulumirpc.RunPluginResponse{Output: code})
	}
	if err != nil {
		return fmt.Errorf("problem executing plugin program (could not run language executor): %w", err)
	}
	return nil
}

func pluginArguments(
	options toolchain.PythonOptions, request *pulumirpc.RunPluginRequest, isPolicy bool,
) ([]string, error) {
	folder := request.GetInfo().GetProgramDirectory()
	if isPolicy {
		return append(append([]string{"-u", "-m", "pulumi.policy"}, request.GetArgs()...), folder), nil
	}
	if _, err := os.Stat(filepath.Join(options.Root, "__main__.py")); err == nil {
		return append([]string{folder}, request.GetArgs()...), nil
	}
	buildable, err := toolchain.IsBuildablePackage(options.Root)
	if err != nil {
		return nil, fmt.Errorf("checking if plugin is a buildable package: %w", err)
	}
	if !buildable {
		return nil, errors.New("plugin is not runnable, it provides neither __main__.py nor a buildable pyproject.toml")
	}
	project, err := toolchain.LoadPyproject(options.Root)
	if err != nil {
		return nil, fmt.Errorf("loading pyproject: %w", err)
	}
	return append([]string{"-m", "pulumi.run.plugin", project.Project.Name}, request.GetArgs()...), nil
}

// changedVariables leaves out what this process has itself: the virtual environment's PATH must not be undone.
func changedVariables(variables []string) []string {
	own := map[string]bool{}
	for _, variable := range os.Environ() {
		own[variable] = true
	}
	var changed []string
	for _, variable := range variables {
		if !own[variable] {
			changed = append(changed, variable)
		}
	}
	return changed
}

// attachPolicyPack waits for the engine to say which stack is checked and puts that into the pack's environment, where
// the policy SDK reads it. The engine talks to a proxy meanwhile, which the returned function connects to the pack.
func attachPolicyPack(ctx context.Context, command *exec.Cmd, stdout io.Writer) (func() error, error) {
	proxy, packStdout, err := sdk.NewPolicyProxy(ctx, stdout)
	if err != nil {
		return nil, fmt.Errorf("could not start policy pack proxy: %w", err)
	}
	command.Stdout = packStdout
	stack, err := proxy.AwaitConfiguration(ctx)
	if err != nil {
		return nil, fmt.Errorf("could not get stack configuration: %w", err)
	}
	if stack != nil {
		config := []byte("{}") // an empty map arrives as none, and the SDK cannot read null
		if len(stack.GetConfig()) > 0 {
			if config, err = json.Marshal(stack.GetConfig()); err != nil {
				return nil, fmt.Errorf("could not marshal stack configuration: %w", err)
			}
		}
		command.Env = append(command.Env,
			"PULUMI_ORGANIZATION="+stack.GetOrganization(),
			"PULUMI_PROJECT="+stack.GetProject(),
			"PULUMI_STACK="+stack.GetStack(),
			"PULUMI_DRY_RUN="+strconv.FormatBool(stack.GetDryRun()),
			"PULUMI_CONFIG="+string(config),
		)
	}
	return func() error { return proxy.Attach(ctx, command) }, nil
}

func installPlugin(
	ctx context.Context, tools toolchain.Toolchain, folder string, versionTools bool, stdout, stderr io.Writer,
) error {
	buildable, err := toolchain.IsBuildablePackage(folder)
	if err != nil {
		return fmt.Errorf("checking if plugin is a buildable package: %w", err)
	}
	if !buildable {
		return nil
	}
	if err := tools.EnsureVenv(ctx, folder, versionTools, true, stdout, stderr); err != nil {
		return fmt.Errorf("creating virtual environment: %w", err)
	}
	command, err := tools.ModuleCommand(ctx, "pip", "install", folder)
	if err != nil {
		return fmt.Errorf("preparing pip install command: %w", err)
	}
	command.Stdout, command.Stderr = stdout, stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("installing package: %w", err)
	}
	return nil
}

// runDynamicProvider becomes the SDK's provider for resources that a program defines itself. The engine hands on
// `runtime.options` of Pulumi.yaml as PULUMI_RUNTIME_*, and starts it in the project's folder.
func runDynamicProvider(args []string) error {
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	options := toolchain.PythonOptions{
		Root: folder, ProgramDir: folder, Virtualenv: os.Getenv("PULUMI_RUNTIME_VIRTUALENV"),
	}
	switch strings.ToLower(os.Getenv("PULUMI_RUNTIME_TOOLCHAIN")) {
	case "poetry":
		options.Toolchain = toolchain.Poetry
	case "uv":
		options.Toolchain = toolchain.Uv
	}
	tools, err := toolchain.ResolveToolchain(options)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := tools.ValidateVenv(ctx); err != nil {
		return err
	}
	command, err := tools.Command(ctx, append([]string{"-u", "-m", "pulumi.dynamic"}, args...)...)
	if err != nil {
		return err
	}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	// Not exec: the SDK's provider does not notice that the engine is gone, and would stay for ever.
	host, ended := newHost(""), make(chan error, 1)
	go func() { ended <- host.wait(command, command.Wait) }()
	err = untilEnd(ended)
	host.end()
	return err
}
