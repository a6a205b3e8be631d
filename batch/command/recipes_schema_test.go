package command

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// yamlRecipe is what a recipe in YAML is held to: the fields that its service
// knows, and what that service would refuse though its schema lets it through.
type yamlRecipe struct {
	schema string   // in testdata/schema, where SOURCE says whose it is
	free   []string // maps in which the writer names the fields
	rules  []rule
}

// rule is about one field, wherever in a document its path ends like that.
type rule struct {
	at   string // without the places in lists: "containers.name"
	form string // of the whole text; of a map, its fields in order
	must bool   // there has to be one

	wrong func(text string) string // in place of a form
}

const (
	label    = `[a-z0-9]([-a-z0-9]*[a-z0-9])?` // of RFC 1123
	number   = `[0-9]+`
	quantity = `[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi)?`
	resource = `/subscriptions/[0-9a-f-]{36}/resource[gG]roups/[^/ ]+/providers/`
)

var yamlRecipes = map[string]yamlRecipe{
	"cronjob.yaml": {
		schema: "kubernetes-cronjob.json",
		free:   []string{"labels", "annotations", "requests", "limits"},
		rules: []rule{
			{at: "apiVersion", form: `batch/v1`, must: true}, // the kind that the schema is of
			{at: "kind", form: `CronJob`, must: true},
			{at: "metadata.name", form: label, must: true},
			{at: "containers.name", form: label, must: true},
			{at: "containers.image", form: `\S+`, must: true},
			{at: "secretKeyRef.name", form: label},
			{at: "serviceAccountName", form: label},
			{at: "volumes.name", form: label},
			{at: "volumeMounts.name", form: label},
			{at: "claimName", form: label},
			{at: "volumeMounts.mountPath", form: `/.*`},
			{at: "spec.schedule", wrong: wrongSchedule, must: true},
			{at: "timeZone", form: `[A-Z][A-Za-z_]+(/[A-Za-z_]+)*`},
			{at: "concurrencyPolicy", form: `Allow|Forbid|Replace`},
			{at: "restartPolicy", form: `Never|OnFailure`, must: true}, // a job has no other
			{at: "seccompProfile.type", form: `RuntimeDefault|Unconfined|Localhost`},
			{at: "requests.cpu", form: quantity},
			{at: "requests.memory", form: quantity},
			{at: "limits.cpu", form: quantity},
			{at: "limits.memory", form: quantity},
			{at: "backoffLimit", form: number},
			{at: "startingDeadlineSeconds", form: number},
			{at: "terminationGracePeriodSeconds", form: number},
			{at: "volumes", form: `\S+ name|name \S+`}, // one source each
			{at: "env", form: `name value(From)?`},
			{at: "args", form: `.+`, must: true},
		},
	},
	"containerapp-job.yaml": {
		schema: "azure-containerapp-job.json",
		free:   []string{"tags", "userAssignedIdentities"},
		rules: []rule{
			{at: "userAssignedIdentities", form: resource + `Microsoft\.ManagedIdentity/userAssignedIdentities/[^/ ]+`},
			{at: "properties.environmentId", form: resource + `Microsoft\.App/managedEnvironments/[^/ ]+`, must: true},
			{at: "configuration.triggerType", form: `Schedule`, must: true},
			{at: "configuration.replicaTimeout", form: number, must: true},
			{at: "configuration.replicaRetryLimit", form: number},
			{at: "scheduleTriggerConfig.cronExpression", wrong: wrongSchedule, must: true},
			{at: "scheduleTriggerConfig.parallelism", form: number},
			{at: "scheduleTriggerConfig.replicaCompletionCount", form: number},
			{at: "containers.name", form: label, must: true},
			{at: "containers.image", form: `\S+`, must: true},
			{at: "resources.memory", form: quantity},
			{at: "volumes", form: `name storageName storageType|name storageType`},
			{at: "volumes.name", form: label},
			{at: "volumeMounts.volumeName", form: label},
			{at: "volumeMounts.mountPath", form: `/[^:]*`},
			{at: "args", form: `.+`, must: true},
		},
	},
	"offboard.yml": {
		schema: "github-workflow.json",
		free:   []string{"jobs", "with", "env"},
		rules: []rule{
			{at: "permissions", form: `.*`, must: true}, // those of a repository that sets none are wide
			{at: "on.schedule.cron", wrong: wrongSchedule, must: true},
			{at: "steps.uses", form: `[^@ ]+/[^@ ]+@[^@ ]+`},
			{at: "timeout-minutes", form: `[1-9][0-9]*`},
		},
	},
}

// check says what is wrong with a recipe.
func (r yamlRecipe) check(t *testing.T, b block) (wrong []string) {
	t.Helper()
	doc, err := parseYAML(b)
	if err != nil {
		return []string{err.Error()}
	}
	if err := r.compile(t).Validate(doc); err != nil {
		wrong = append(wrong, err.Error())
	}
	for _, rule := range r.rules {
		wrong = append(wrong, rule.check(doc)...)
	}
	return wrong
}

func (r yamlRecipe) compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "testdata", "schema", r.schema))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func (r rule) check(doc any) (wrong []string) {
	form, found := regexp.MustCompile(`^(?:`+r.form+`)$`), false
	walk(doc, "", func(path string, v any) {
		if !strings.HasSuffix(path, "."+r.at) {
			return
		}
		found = true
		text := fmt.Sprint(v)
		if m, ok := v.(map[string]any); ok {
			text = strings.Join(sortedKeys(m), " ")
		}
		if r.wrong != nil {
			if why := r.wrong(text); why != "" {
				wrong = append(wrong, path[1:]+": "+why)
			}
		} else if !form.MatchString(text) {
			wrong = append(wrong, fmt.Sprintf("%s is %q, not like %s", path[1:], text, r.form))
		}
	})
	if r.must && !found {
		wrong = append(wrong, "there is no "+r.at)
	}
	return wrong
}

// walk visits all that is in a document but the lists themselves: an element has
// the path of its list.
func walk(v any, path string, visit func(string, any)) {
	if list, ok := v.([]any); ok {
		for _, e := range list {
			walk(e, path, visit)
		}
		return
	}
	visit(path, v)
	if m, ok := v.(map[string]any); ok {
		for _, name := range sortedKeys(m) {
			walk(m[name], path+"."+name, visit)
		}
	}
}

// TestRecipesMisspelt misspells each field of each recipe in turn. The vendor's
// schema alone has to refuse that: one that lets unknown fields pass would find
// nothing wrong with any recipe.
func TestRecipesMisspelt(t *testing.T) {
	for _, b := range blocks(readme(t)) {
		r, known := yamlRecipes[filepath.Base(b.file())]
		if !known {
			continue
		}
		schema := r.compile(t)
		doc, err := parseYAML(b)
		if err != nil {
			t.Fatalf("README.md:%d: %v", b.line, err)
		}
		tried := 0
		walk(doc, "", func(path string, v any) {
			fields, ok := v.(map[string]any)
			if !ok || slices.Contains(r.free, path[strings.LastIndex(path, ".")+1:]) {
				return
			}
			for _, name := range sortedKeys(fields) {
				tried++
				fields[name+"s"] = fields[name]
				delete(fields, name)
				if schema.Validate(doc) == nil {
					t.Errorf("README.md:%d: %s lets %s.%ss pass", b.line, r.schema, path, name)
				}
				fields[name] = fields[name+"s"]
				delete(fields, name+"s")
			}
		})
		if tried < 15 {
			t.Errorf("README.md:%d: only %d fields were misspelt", b.line, tried)
		}
	}
}
