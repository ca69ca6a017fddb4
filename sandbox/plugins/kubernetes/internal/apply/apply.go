// Package apply writes objects to the cluster: creation, server-side apply and deletion.
package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/cluster"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

// creator is who creates objects, whatever the name they are applied under later: the first update takes over from it.
const creator = "pulumi-kubernetes"

// Writer writes one object.
type Writer struct {
	Cluster *cluster.Cluster
	Manager string // the name to apply under
	Preview bool   // let the server compute the result without keeping it
	Report  *engine.Reporter
}

// ErrNamespaceMissing says that a preview met a namespace that is still to be created.
var ErrNamespaceMissing = errors.New("namespace does not exist")

// Create creates the object and refuses one that exists, unless the provider was told to take such over. It tries
// again for a while when the object's definition or namespace is not there yet: their creation may be under way.
func (w Writer) Create(ctx context.Context, inputs map[string]any) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{Object: inputs}
	var created *unstructured.Unstructured
	err := w.patiently(ctx, func() error {
		client, err := w.Cluster.Client(obj)
		if err != nil {
			return err
		}
		if w.Cluster.Settings.UpsertExisting {
			created, err = w.upsert(ctx, client, obj)
		} else {
			options := metav1.CreateOptions{FieldManager: creator, DryRun: w.dryRun()}
			created, err = client.Create(ctx, obj, options)
		}
		if err != nil && w.Preview && namespaceMissing(err) {
			return ErrNamespaceMissing
		}
		return err
	})
	if apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("%w\n\n"+existsHint, err)
	}
	return created, err
}

const existsHint = `The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Managing an existing resource: use a Patch resource (e.g. NamespacePatch)
    to manage specific fields without owning the resource lifecycle.
  - Adopting a resource into Pulumi: use ` + "`pulumi import`" + `. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create.`

// patiently repeats what fails for lack of a definition or a namespace, about half a minute in all.
func (w Writer) patiently(ctx context.Context, try func() error) error {
	pause := 250 * time.Millisecond
	for attempt := 0; ; attempt++ {
		err := try()
		if !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) || attempt == 7 {
			return err
		}
		w.Report.Status(engine.Info, fmt.Sprintf("Retry #%d; creation failed: %v", attempt, err))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func namespaceMissing(err error) bool {
	var status *apierrors.StatusError
	return errors.As(err, &status) && apierrors.IsNotFound(err) &&
		status.ErrStatus.Details != nil && status.ErrStatus.Details.Kind == "namespaces"
}

func (w Writer) dryRun() []string {
	if w.Preview {
		return []string{metav1.DryRunAll}
	}
	return nil
}

func (w Writer) upsert(
	ctx context.Context, client dynamic.ResourceInterface, obj *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	applied, err := w.apply(ctx, client, obj, w.force(obj.Object, nil))
	if w.Preview && apierrors.IsInvalid(err) && strings.Contains(err.Error(), validation.FieldImmutableErrorMsg) {
		// The preview of a replacement meets the old object, which the real run will have deleted by then.
		renamed := obj.DeepCopy()
		renamed.SetName(obj.GetName() + "-preview")
		applied, err = w.apply(ctx, client, renamed, true)
	}
	return applied, w.explain(err)
}

// Update brings an existing object to what the inputs say. ignored lists the properties whose changes the program does
// not want to make.
func (w Writer) Update(
	ctx context.Context, name string, inputs map[string]any, ignored []string,
) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{Object: inputs}
	client, err := w.Cluster.Client(obj)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		before, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		after, err := w.applyOver(ctx, client, obj, before, ignored)
		if attempt == 3 || !movedOn(err) {
			return after, w.explain(err)
		}
	}
}

func (w Writer) applyOver(
	ctx context.Context, client dynamic.ResourceInterface, obj, before *unstructured.Unstructured, ignored []string,
) (*unstructured.Unstructured, error) {
	if object.IsCRD(obj.Object) {
		return w.replace(ctx, client, obj, before)
	}
	live := before
	if !w.Preview {
		var err error
		if live, err = takeOver(ctx, client, before, w.Manager); err != nil {
			return nil, err
		}
	}
	sent := obj.DeepCopy()
	if err := leaveIgnored(sent, live, w.Manager, ignored); err != nil {
		return nil, err
	}
	return w.apply(ctx, client, sent, w.force(obj.Object, live))
}

// movedOn tells whether the object changed between being read and being written; a conflict about fields is another
// thing and has causes.
func movedOn(err error) bool {
	var status *apierrors.StatusError
	return errors.As(err, &status) && apierrors.IsConflict(err) &&
		(status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0)
}

// replace writes a definition as a whole: merging would keep what the new one no longer has.
func (w Writer) replace(
	ctx context.Context, client dynamic.ResourceInterface, obj, live *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	replacement := obj.DeepCopy()
	replacement.SetResourceVersion(live.GetResourceVersion())
	return client.Update(ctx, replacement, metav1.UpdateOptions{FieldManager: w.Manager, DryRun: w.dryRun()})
}

func (w Writer) apply(
	ctx context.Context, client dynamic.ResourceInterface, obj *unstructured.Unstructured, force bool,
) (*unstructured.Unstructured, error) {
	text, err := yaml.Marshal(obj.Object)
	if err != nil {
		return nil, err
	}
	options := metav1.PatchOptions{FieldManager: w.Manager, Force: &force, DryRun: w.dryRun()}
	return client.Patch(ctx, obj.GetName(), types.ApplyPatchType, text, options)
}

// force tells whether to take fields from other managers. Besides the user's word for it, a preview does so where the
// real run would take over from this plugin's own creation first, and objects from before managed fields are free.
func (w Writer) force(inputs map[string]any, live *unstructured.Unstructured) bool {
	if w.Cluster.Settings.PatchForce || object.AnnotatedTrue(inputs, object.PatchForce) {
		return true
	}
	if live == nil {
		return w.Preview
	}
	if w.Preview {
		for _, entry := range live.GetManagedFields() {
			if entry.Operation == metav1.ManagedFieldsOperationUpdate && ownNames[entry.Manager] {
				return true
			}
		}
	}
	return len(live.GetManagedFields()) == 0
}

func (w Writer) explain(err error) error {
	if !apierrors.IsConflict(err) {
		return err
	}
	return errors.Join(
		errors.New("server-side apply field conflict detected, see "+
			"https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/"+
			"managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources for troubleshooting help"),
		fmt.Errorf("The resource managed by field manager %q had an apply conflict: %w", w.Manager, err),
	)
}

// Delete asks for the object's deletion. It returns the live object as it was; nil when there was none.
func Delete(
	ctx context.Context, client dynamic.ResourceInterface, name string, inputs map[string]any,
) (*unstructured.Unstructured, error) {
	live, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	policy := propagation(inputs)
	err = client.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return live, err
}

func propagation(inputs map[string]any) metav1.DeletionPropagation {
	switch strings.ToLower(object.Annotation(inputs, object.DeletionPropagation)) {
	case "orphan":
		return metav1.DeletePropagationOrphan
	case "background":
		return metav1.DeletePropagationBackground
	default:
		return metav1.DeletePropagationForeground
	}
}
