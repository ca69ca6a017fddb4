package release

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/registry"
)

// isLocal tells whether the chart is a folder or an archive on this machine, seen from the program's folder.
func isLocal(spec *Spec) bool {
	_, err := os.Stat(spec.Chart)
	return err == nil && (spec.RepositoryOpts == nil || !isURL(spec.RepositoryOpts.Repo))
}

func isURL(text string) bool {
	_, err := url.ParseRequestURI(text)
	return err == nil
}

// chartVersion returns the version that the chart has. Of a folder it reads no more than that and whether its
// dependencies are there.
func (p *Provider) chartVersion(spec *Spec) (string, error) {
	if isLocal(spec) {
		metadata, err := chartutil.LoadChartfile(filepath.Join(spec.Chart, chartutil.ChartfileName))
		if err == nil && len(metadata.Dependencies) == 0 {
			if err := metadata.Validate(); err != nil {
				return "", err
			}
			return metadata.Version, nil
		}
	}
	loaded, _, err := p.loadChart(spec)
	if err != nil {
		return "", err
	}
	return loaded.Metadata.Version, nil
}

// loadChart fetches the chart if need be and loads it with its dependencies. It returns the chart's place, too.
func (p *Provider) loadChart(spec *Spec) (*chart.Chart, string, error) {
	client, err := p.registry()
	if err != nil {
		return nil, "", err
	}
	install := action.NewInstall(&action.Configuration{RegistryClient: client})
	options := &install.ChartPathOptions
	name, err := chartSource(options, spec)
	if err != nil {
		return nil, "", err
	}
	if options.RepoURL != "" {
		// A folder that happens to have the chart's name is not meant when there is a repository.
		if _, err := os.Stat(name); err == nil {
			return nil, "", fmt.Errorf("chart %q of repository %s is shadowed by a local folder of that name", name, options.RepoURL)
		}
	}
	path, err := options.LocateChart(name, p.settings)
	if err != nil {
		return nil, "", err
	}
	loaded, err := loader.Load(path)
	if err != nil {
		return nil, "", err
	}
	updated, err := p.completeDependencies(loaded, path, spec, client)
	if err == nil && updated {
		loaded, err = loader.Load(path)
	}
	return loaded, path, err
}

func chartSource(options *action.ChartPathOptions, spec *Spec) (string, error) {
	name := strings.TrimSpace(spec.Chart)
	if name == "" {
		return "", fmt.Errorf("the release names no chart")
	}
	options.Version = strings.TrimSpace(spec.Version)
	if options.Version == "" && spec.Devel {
		options.Version = ">0.0.0-0"
	}
	options.Keyring, options.Verify = spec.Keyring, spec.Verify
	repository := spec.RepositoryOpts
	if repository == nil {
		return name, nil
	}
	options.CaFile, options.CertFile, options.KeyFile = repository.CAFile, repository.CertFile, repository.KeyFile
	options.Username, options.Password = repository.Username, repository.Password
	switch {
	case registry.IsOCI(name):
	case isURL(repository.Repo):
		options.RepoURL = repository.Repo
	case repository.Repo != "" && !strings.Contains(name, "/"):
		name = repository.Repo + "/" + name
	}
	return name, nil
}

// completeDependencies fetches missing dependencies where the program allows it, and errs where it does not.
func (p *Provider) completeDependencies(
	loaded *chart.Chart, path string, spec *Spec, client *registry.Client,
) (updated bool, err error) {
	if loaded.Metadata.Dependencies == nil {
		return false, nil
	}
	err = action.CheckDependencies(loaded, loaded.Metadata.Dependencies)
	if err == nil || !spec.DependencyUpdate {
		return false, err
	}
	manager := &downloader.Manager{
		Out:              os.Stderr,
		ChartPath:        path,
		Keyring:          spec.Keyring,
		Getters:          getter.All(p.settings),
		RepositoryConfig: p.settings.RepositoryConfig,
		RepositoryCache:  p.settings.RepositoryCache,
		RegistryClient:   client,
	}
	return true, manager.Update()
}

func installable(loaded *chart.Chart) error {
	switch loaded.Metadata.Type {
	case "", "application":
		return nil
	}
	return fmt.Errorf("%s charts are not installable", loaded.Metadata.Type)
}
