package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// programScript runs inside the program's interpreter; it reaches it by standard input, so no file has to be found.
//
//go:embed program.py
var programScript string

// exitAfterMessage is the code with which programScript says that the user has been shown what is wrong.
const exitAfterMessage = 32

// settings is what programScript has to know of a run, as JSON in its first argument. Config is not in it: that holds
// secrets, and command lines are visible to everybody.
type settings struct {
	Monitor       string   `json:"monitor"`
	Engine        string   `json:"engine"`
	Organization  string   `json:"organization"`
	Project       string   `json:"project"`
	Stack         string   `json:"stack"`
	RootDirectory string   `json:"root_directory"`
	Parallel      int32    `json:"parallel"`
	DryRun        bool     `json:"dry_run"`
	Pwd           string   `json:"pwd"`
	Program       string   `json:"program"`
	Args          []string `json:"args"`
}

// Run runs a program to its end.
func (h *host) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	if request.GetAttachDebugger() {
		return &pulumirpc.RunResponse{Error: "this language host is a stand-in and cannot attach a debugger"}, nil
	}
	options, tools, err := resolve(request.GetInfo(), false)
	if err != nil {
		return nil, err
	}
	if err := tools.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	if err := typecheck(ctx, options, tools); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(h.cancelled, stop)()
	command, err := h.programCommand(ctx, tools, request)
	if err != nil {
		return nil, err
	}
	return runResponse(h.wait(command, command.Wait)), nil
}

func (h *host) programCommand(
	ctx context.Context, tools toolchain.Toolchain, request *pulumirpc.RunRequest,
) (*exec.Cmd, error) {
	argument, err := json.Marshal(settings{
		Monitor:       request.GetMonitorAddress(),
		Engine:        h.engineAddress,
		Organization:  request.GetOrganization(),
		Project:       request.GetProject(),
		Stack:         request.GetStack(),
		RootDirectory: request.GetInfo().GetRootDirectory(),
		Parallel:      request.GetParallel(),
		DryRun:        request.GetDryRun(),
		Pwd:           request.GetPwd(),
		Program:       request.GetInfo().GetEntryPoint(),
		Args:          request.GetArgs(),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to serialize the settings of the run: %w", err)
	}
	command, err := tools.Command(ctx, "-u", "-", string(argument))
	if err != nil {
		return nil, err
	}
	command.Stdin = strings.NewReader(programScript)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr // the engine shows both to the user
	command.Env = environment(command)
	// The names of these two are the SDK's.
	if request.GetConfig() != nil {
		config, err := json.Marshal(request.GetConfig())
		if err != nil {
			return nil, fmt.Errorf("failed to serialize configuration: %w", err)
		}
		command.Env = append(command.Env, "PULUMI_CONFIG="+string(config))
	}
	secretKeys, err := json.Marshal(append([]string{}, request.GetConfigSecretKeys()...))
	if err != nil {
		return nil, fmt.Errorf("failed to serialize configuration secret keys: %w", err)
	}
	command.Env = append(command.Env, "PULUMI_CONFIG_SECRET_KEYS="+string(secretKeys))
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	return command, nil
}

func environment(command *exec.Cmd) []string {
	if command.Env == nil {
		return os.Environ()
	}
	return command.Env
}

// runResponse says how a program ended: an error for the engine to show, or nothing but "stop" when the program has
// shown one itself.
func runResponse(err error) *pulumirpc.RunResponse {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}
	case !errors.As(err, &exit):
		return &pulumirpc.RunResponse{
			Error: fmt.Sprintf("problem executing program (could not run language executor): %v", err),
		}
	case exit.ExitCode() == exitAfterMessage:
		return &pulumirpc.RunResponse{Bail: true}
	case exit.ExitCode() < 0:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("program exited unexpectedly: %v", exit)}
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("program exited with non-zero exit code: %d", exit.ExitCode())}
	}
}

// typecheck runs the checker named by `runtime.options.typechecker`; what it finds stops the run.
func typecheck(ctx context.Context, options toolchain.PythonOptions, tools toolchain.Toolchain) error {
	if options.Typechecker == toolchain.TypeCheckerNone {
		return nil
	}
	checker := strings.ToLower(toolchain.TypeCheckerName(options.Typechecker))
	args := []string{}
	if options.Typechecker == toolchain.TypeCheckerMypy {
		virtualenv, err := tools.VirtualEnvPath(ctx)
		if err != nil {
			return err
		}
		if excluded, err := filepath.Rel(options.ProgramDir, virtualenv); err == nil {
			args = append(args, "--exclude", excluded)
		}
	}
	command, err := tools.ModuleCommand(ctx, checker, append(args, options.ProgramDir)...)
	if err != nil {
		return err
	}
	var output bytes.Buffer
	command.Dir = options.ProgramDir
	command.Stdout = io.MultiWriter(os.Stdout, &output)
	command.Stderr = io.MultiWriter(os.Stderr, &output)
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s failed: %w\n%s", checker, err, output.String())
	}
	return nil
}
