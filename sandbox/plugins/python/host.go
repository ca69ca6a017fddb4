package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/protobuf/types/known/emptypb"
)

// host answers the engine's questions about Python programs and runs them.
type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	engineAddress string
	cancelled     context.Context
	cancel        context.CancelFunc

	mutex    sync.Mutex
	children map[*os.Process]struct{}
}

func newHost(engineAddress string) *host {
	cancelled, cancel := context.WithCancel(context.Background())
	return &host{
		engineAddress: engineAddress,
		cancelled:     cancelled,
		cancel:        cancel,
		children:      map[*os.Process]struct{}{},
	}
}

// parseOptions reads `runtime.options` of Pulumi.yaml. A plugin has no ambient Python: its default is `venv`.
func parseOptions(info *pulumirpc.ProgramInfo, isPlugin bool) (toolchain.PythonOptions, error) {
	options := toolchain.PythonOptions{Root: info.GetRootDirectory(), ProgramDir: info.GetProgramDirectory()}
	for key, value := range info.GetOptions().AsMap() {
		text, isText := value.(string)
		switch key {
		case "virtualenv", "typechecker", "toolchain":
			if !isText {
				return options, fmt.Errorf("%s option must be a string", key)
			}
		}
		switch key {
		case "virtualenv":
			options.Virtualenv = text
		case "typechecker":
			switch text {
			case "mypy":
				options.Typechecker = toolchain.TypeCheckerMypy
			case "pyright":
				options.Typechecker = toolchain.TypeCheckerPyright
			default:
				return options, fmt.Errorf("unsupported typechecker option: %s", text)
			}
		case "toolchain":
			switch text {
			case "pip":
				options.Toolchain = toolchain.Pip
			case "poetry":
				options.Toolchain = toolchain.Poetry
			case "uv":
				options.Toolchain = toolchain.Uv
			default:
				return options, fmt.Errorf("unsupported toolchain option: %s", text)
			}
		}
	}
	usesPip := options.Toolchain == toolchain.Pip || options.Toolchain == toolchain.Auto
	if isPlugin && usesPip && options.Virtualenv == "" {
		options.Virtualenv = "venv"
	}
	return options, nil
}

func resolve(info *pulumirpc.ProgramInfo, isPlugin bool) (toolchain.PythonOptions, toolchain.Toolchain, error) {
	options, err := parseOptions(info, isPlugin)
	if err != nil {
		return options, nil, err
	}
	tools, err := toolchain.ResolveToolchain(options)
	return options, tools, err
}

// Handshake tells the engine's address to a host that was not started by it.
func (h *host) Handshake(
	_ context.Context, request *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.engineAddress = request.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

// GetPluginInfo answers with the version of the CLI that this is built for.
func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version}, nil
}

// About names the interpreter and the package tool of a program, for `pulumi about`.
func (h *host) About(ctx context.Context, request *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	options := toolchain.PythonOptions{Toolchain: toolchain.Pip}
	if request.GetInfo() != nil {
		var err error
		if options, err = parseOptions(request.GetInfo(), false); err != nil {
			return nil, err
		}
	}
	tools, err := toolchain.ResolveToolchain(options)
	if err != nil {
		return nil, err
	}
	response, err := about(ctx, options, tools)
	if err != nil {
		return nil, err
	}
	response.Metadata["toolchain"] = toolchain.Name(options.Toolchain)
	response.Metadata["typechecker"] = toolchain.TypeCheckerName(options.Typechecker)
	return response, nil
}

//go:embed about.py
var aboutScript string

// about asks the interpreter once where the SDK asks three times and starts pip: every update begins with this question.
func about(
	ctx context.Context, options toolchain.PythonOptions, tools toolchain.Toolchain,
) (*pulumirpc.AboutResponse, error) {
	if options.Toolchain == toolchain.Poetry || options.Toolchain == toolchain.Uv {
		found, err := tools.About(ctx)
		if err != nil {
			return nil, err
		}
		return &pulumirpc.AboutResponse{
			Executable: found.PythonExecutable,
			Version:    found.PythonVersion.String(),
			Metadata:   map[string]string{"toolchainVersion": found.ToolchainVersion.String()},
		}, nil
	}
	command, err := tools.Command(ctx, "-c", aboutScript)
	if err != nil {
		return nil, err
	}
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("failed to get python executable path: %w", err)
	}
	lines := strings.Split(string(output), "\n")
	if len(lines) < 3 {
		return nil, fmt.Errorf("failed to get python executable path: %q", output)
	}
	return &pulumirpc.AboutResponse{
		Executable: lines[0],
		Version:    lines[1],
		Metadata:   map[string]string{"toolchainVersion": lines[2]},
	}, nil
}

// GetProgramDependencies lists the packages of a program's environment.
func (h *host) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	_, tools, err := resolve(request.GetInfo(), false)
	if err != nil {
		return nil, err
	}
	packages, err := tools.ListPackages(ctx, request.GetTransitiveDependencies())
	if err != nil {
		return nil, fmt.Errorf("failed to get python dependencies: %w", err)
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, found := range packages {
		dependency := &pulumirpc.DependencyInfo{Name: found.Name, Version: found.Version}
		response.Dependencies = append(response.Dependencies, dependency)
	}
	return response, nil
}

// InstallDependencies makes the virtual environment and installs the requirements, streaming what pip says.
func (h *host) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest, server pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	ctx, folder := server.Context(), request.GetInfo().GetProgramDirectory()
	_, tools, err := resolve(request.GetInfo(), request.GetIsPlugin())
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(server, request.GetIsTerminal())
	if err != nil {
		return err
	}
	versionTools := request.GetUseLanguageVersionTools()
	install := func() error {
		fmt.Fprint(stdout, "Installing dependencies...\n\n")
		if request.GetIsPlugin() {
			if err := installPlugin(ctx, tools, folder, versionTools, stdout, stderr); err != nil {
				return err
			}
		}
		if err := tools.InstallDependencies(ctx, folder, versionTools, true, stdout, stderr); err != nil {
			return err
		}
		fmt.Fprint(stdout, "Finished installing dependencies\n\n")
		return nil
	}
	return errors.Join(install(), closer.Close())
}

// RuntimeOptionsPrompts asks `pulumi new` for the package tool, and for pip also for the virtual environment's folder.
func (h *host) RuntimeOptionsPrompts(
	_ context.Context, request *pulumirpc.RuntimeOptionsRequest,
) (*pulumirpc.RuntimeOptionsResponse, error) {
	option := func(value string) *pulumirpc.RuntimeOptionPrompt_RuntimeOptionValue {
		return &pulumirpc.RuntimeOptionPrompt_RuntimeOptionValue{
			PromptType: pulumirpc.RuntimeOptionPrompt_STRING, StringValue: value, DisplayName: value,
		}
	}
	chosen := request.GetInfo().GetOptions().AsMap()
	response := &pulumirpc.RuntimeOptionsResponse{}
	if _, has := chosen["toolchain"]; !has {
		response.Prompts = append(response.Prompts, &pulumirpc.RuntimeOptionPrompt{
			Key:         "toolchain",
			Description: "The toolchain to use for installing dependencies and running the program",
			PromptType:  pulumirpc.RuntimeOptionPrompt_STRING,
			Choices: append([]*pulumirpc.RuntimeOptionPrompt_RuntimeOptionValue{option("pip")},
				plugin.MakeExecutablePromptChoices("poetry", "uv")...),
			Default: option("pip"),
		})
	}
	if _, has := chosen["virtualenv"]; !has && chosen["toolchain"] == "pip" {
		response.Prompts = append(response.Prompts, &pulumirpc.RuntimeOptionPrompt{
			Key:         "virtualenv",
			Description: "The virtualenv to use",
			PromptType:  pulumirpc.RuntimeOptionPrompt_STRING,
			Choices:     []*pulumirpc.RuntimeOptionPrompt_RuntimeOptionValue{option("venv")},
			Default:     option("venv"),
		})
	}
	return response, nil
}

// Template converts a new project's requirements for the package tool that was chosen.
func (h *host) Template(
	ctx context.Context, request *pulumirpc.TemplateRequest,
) (*pulumirpc.TemplateResponse, error) {
	_, tools, err := resolve(request.GetInfo(), false)
	if err != nil {
		return nil, err
	}
	folder := request.GetInfo().GetProgramDirectory()
	err = tools.PrepareProject(ctx, request.GetProjectName(), folder, false, nil, nil)
	return &pulumirpc.TemplateResponse{}, err
}

// Cancel ends the program that is running.
func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.cancel()
	return &emptypb.Empty{}, nil
}

// wait starts a command that is not to outlive this process, and waits for its end.
func (h *host) wait(command *exec.Cmd, started func() error) error {
	// The kernel sends the signal when the thread that started the child ends, so that thread has to be kept.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	h.mutex.Lock()
	h.children[command.Process] = struct{}{}
	h.mutex.Unlock()
	defer func() {
		h.mutex.Lock()
		delete(h.children, command.Process)
		h.mutex.Unlock()
	}()
	return started()
}

// end kills what is still running: the engine that could use its work is done or gone.
func (h *host) end() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for child := range h.children {
		_ = child.Kill() // it may have ended by itself
	}
}
