package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/postrender"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
)

// FailedError is a release that exists, but whose resources did not become ready.
type FailedError struct {
	Namespace, Name string
	Cause           error
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("failed to become available within allocated timeout. Error: Helm Release %s/%s: %v",
		e.Namespace, e.Name, e.Cause)
}

func (e *FailedError) Unwrap() error { return e.Cause }

func (s *Spec) timeout() time.Duration {
	if s.Timeout == 0 {
		return defaultTimeout * time.Second
	}
	return time.Duration(s.Timeout) * time.Second
}

// install runs helm install. The release returned is nil where there is none to speak of.
func (p *Provider) install(urn string, spec *Spec) (*release.Release, error) {
	config, err := p.actions(spec.Namespace)
	if err != nil {
		return nil, err
	}
	loaded, _, err := p.loadChart(spec)
	if err != nil {
		return nil, err
	}
	if err := installable(loaded); err != nil {
		return nil, err
	}
	install := action.NewInstall(config)
	install.ReleaseName, install.Namespace, install.CreateNamespace = spec.Name, spec.Namespace, spec.CreateNamespace
	install.DisableHooks = spec.DisableWebhooks
	install.Wait, install.WaitForJobs, install.Timeout = !spec.SkipAwait, !spec.SkipAwait && spec.WaitForJobs, spec.timeout()
	install.Devel, install.DependencyUpdate = spec.Devel, spec.DependencyUpdate
	install.Atomic, install.SkipCRDs, install.Replace = spec.Atomic, spec.SkipCrds, spec.Replace
	install.SubNotes, install.Description = spec.RenderSubchartNotes, spec.Description
	install.DisableOpenAPIValidation = spec.DisableOpenapiValidation
	if install.PostRenderer, err = postRenderer(spec); err != nil {
		return nil, err
	}
	installed, err := install.RunWithContext(p.ctx, loaded, mergeValues(spec.Values, nil))
	if err == nil || installed == nil {
		return installed, err
	}
	if found, lookUpErr := lookUp(config, spec.Name); lookUpErr != nil || found == nil {
		return nil, err
	}
	p.engine.Log(context.Background(), engine.Warning, urn, fmt.Sprintf("Helm release %q was created but has a failed status. "+
		"Use the `helm` command to investigate the error, correct it, then retry. Reason: %v", spec.Name, err))
	return installed, &FailedError{Namespace: spec.Namespace, Name: spec.Name, Cause: err}
}

// upgrade runs helm upgrade, which also mends a release that had failed.
func (p *Provider) upgrade(spec *Spec, namespace string) (*release.Release, error) {
	config, err := p.actions(namespace)
	if err != nil {
		return nil, err
	}
	loaded, path, err := p.loadChart(spec)
	if err != nil {
		return nil, err
	}
	if spec.Lint {
		if result := action.NewLint().Run([]string{path}, spec.Values); len(result.Errors) > 0 {
			return nil, fmt.Errorf("malformed chart or values: %w", errors.Join(result.Errors...))
		}
	}
	upgrade := action.NewUpgrade(config)
	upgrade.Namespace, upgrade.Devel, upgrade.Description = spec.Namespace, spec.Devel, spec.Description
	upgrade.Wait, upgrade.WaitForJobs, upgrade.Timeout = !spec.SkipAwait, !spec.SkipAwait && spec.WaitForJobs, spec.timeout()
	upgrade.DisableHooks, upgrade.Atomic, upgrade.CleanupOnFail = spec.DisableCRDHooks, spec.Atomic, spec.CleanupOnFail
	upgrade.Force, upgrade.Recreate = spec.ForceUpdate, spec.RecreatePods
	upgrade.ResetValues, upgrade.ReuseValues = spec.ResetValues, spec.ReuseValues
	upgrade.SubNotes = spec.RenderSubchartNotes
	if spec.MaxHistory != nil {
		upgrade.MaxHistory = *spec.MaxHistory
	}
	if upgrade.PostRenderer, err = postRenderer(spec); err != nil {
		return nil, err
	}
	upgraded, err := upgrade.RunWithContext(p.ctx, spec.Name, loaded, mergeValues(spec.Values, nil))
	if err == nil || upgraded == nil || errors.Is(err, driver.ErrNoDeployedReleases) {
		return upgraded, err
	}
	return upgraded, fmt.Errorf("error running update: %w",
		&FailedError{Namespace: spec.Namespace, Name: spec.Name, Cause: err})
}

func postRenderer(spec *Spec) (postrender.PostRenderer, error) {
	if spec.Postrender == "" {
		return nil, nil
	}
	return postrender.NewExec(spec.Postrender)
}

// lookUp returns the newest revision of a release, nil when there is none.
func lookUp(config *action.Configuration, name string) (*release.Release, error) {
	found, err := action.NewGet(config).Run(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	return found, err
}

// Delete uninstalls the release and waits for its resources to go, unless awaiting is to be skipped.
func (p *Provider) Delete(ctx context.Context, urn string, olds map[string]any) error {
	spec, err := decode(olds)
	if err != nil {
		return err
	}
	config, err := p.actions(spec.Namespace)
	if err != nil {
		return err
	}
	uninstall := action.NewUninstall(config)
	uninstall.IgnoreNotFound = true
	if spec.Atomic || !spec.SkipAwait {
		uninstall.Wait, uninstall.Timeout = true, spec.timeout()
	}
	done, err := uninstall.Run(spec.Name)
	if err != nil {
		return err
	}
	if done != nil && done.Info != "" {
		p.engine.Log(ctx, engine.Warning, urn, fmt.Sprintf("Helm uninstall returned information: %q", done.Info))
	}
	return nil
}
