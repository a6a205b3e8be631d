package command

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// recipes are the files that the README gives for schedulers, and how each is
// checked.
var recipes = map[string]func(*testing.T, block) []string{
	"mde-offboard.service":  nil, // with its timer, in TestRecipesSystemd
	"mde-offboard.timer":    nil,
	"mde-offboard.xml":      checkTask,
	"mde-offboard":          checkCron,
	"cronjob.yaml":          yamlRecipes["cronjob.yaml"].check,
	"containerapp-job.yaml": yamlRecipes["containerapp-job.yaml"].check,
	"offboard.yml":          yamlRecipes["offboard.yml"].check,
}

// wrongRecipes says what is wrong with the files of a README, and which it lacks.
func wrongRecipes(t *testing.T, text string) (wrong []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, b := range blocks(text) {
		name := path.Base(b.file())
		check, known := recipes[name]
		seen[name] = true
		if !known || check == nil {
			continue
		}
		for _, why := range check(t, b) {
			wrong = append(wrong, fmt.Sprintf("README.md:%d: %s: %s", b.line, name, why))
		}
	}
	for _, name := range sortedKeys(recipes) {
		if !seen[name] {
			wrong = append(wrong, "README.md has no block whose first line names "+name)
		}
	}
	return wrong
}

// TestRecipes checks the files of the README, and that none is missing.
func TestRecipes(t *testing.T) {
	for _, wrong := range wrongRecipes(t, readme(t)) {
		t.Error(wrong)
	}
}

// TestRecipesNameTheirLogin: the chain of logins would go on to whoever the machine
// is where the one that is meant does not work.
func TestRecipesNameTheirLogin(t *testing.T) {
	for _, b := range blocks(readme(t)) {
		name := path.Base(b.file())
		if _, known := recipes[name]; known && strings.Contains(b.text, "--batch") && !strings.Contains(b.text, "--auth") {
			t.Errorf("README.md:%d: %s signs in without --auth", b.line, name)
		}
	}
}

// TestRecipesSystemd has systemd check its units, with our program in the place
// where it will be installed.
func TestRecipesSystemd(t *testing.T) {
	var units []string
	dir := t.TempDir()
	for _, b := range blocks(readme(t)) {
		if name := path.Base(b.file()); strings.HasPrefix(name, "mde-offboard.") && b.lang == "ini" {
			units = append(units, writeUnit(t, dir, name, b.text))
		}
	}
	if wrong := verifyUnits(t, units); wrong != "" {
		t.Error(wrong)
	}
	broken := writeUnit(t, dir, "broken.service", "[Service]\nType=notify\nExecStart=/usr/local/bin/mde-offboard status\nSuccesExitStatus=4\n")
	if verifyUnits(t, []string{broken}) == "" {
		t.Error("a misspelt setting was not found")
	}
}

func writeUnit(t *testing.T, dir, name, text string) string {
	t.Helper()
	program, err := program()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/usr/local/bin/mde-offboard", program)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func verifyUnits(t *testing.T, units []string) string {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not there")
	}
	if len(units) == 0 {
		return ""
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil {
		return err.Error() + "\n" + string(out)
	}
	return string(out)
}

// parseYAML reads a block as the readers of its file do: "on" is a word there.
func parseYAML(b block) (v any, err error) {
	err = yaml.Unmarshal([]byte(b.text), &v)
	return v, err
}

// The least recipes, each to be broken in one place.
const (
	cronjob = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {schedule: '0 22 * * *', jobTemplate: {spec: {template: {spec: " +
		"{restartPolicy: Never, containers: [{name: a, image: a, args: [run]}]}}}}}\n"
	appJob = "location: here\nproperties: {environmentId: /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/a/providers/Microsoft.App/managedEnvironments/a, " +
		"configuration: {triggerType: Schedule, replicaTimeout: 9, scheduleTriggerConfig: {cronExpression: '0 22 * * *'}}, " +
		"template: {containers: [{name: a, image: a, args: [run]}]}}\n"
	workflow = "on: {schedule: [{cron: '0 22 * * *'}]}\npermissions: {}\njobs: {a: {runs-on: x, steps: [{run: y}]}}\n"
)

// TestRecipeChecks shows that each check finds what is wrong.
func TestRecipeChecks(t *testing.T) {
	taskOf := func(inner string) string {
		return `<Task version="1.3" xmlns="` + taskNamespace + `">` + inner + `<Actions><Exec><Command>x</Command></Exec></Actions></Task>`
	}
	startOf := func(moment string) string {
		return "<Triggers><CalendarTrigger><StartBoundary>" + moment + "</StartBoundary></CalendarTrigger></Triggers>"
	}
	tests := []struct {
		reason, recipe, text string
		ok                   bool
	}{
		{"the least task", "mde-offboard.xml", taskOf(""), true},
		{"another namespace", "mde-offboard.xml", strings.ReplaceAll(taskOf(""), "2004", "2005"), false},
		{"an element that the schema does not know", "mde-offboard.xml", taskOf("<Settings><WakeUp>true</WakeUp></Settings>"), false},
		{"an element twice", "mde-offboard.xml", taskOf("<Settings><Enabled>true</Enabled><Enabled>true</Enabled></Settings>"), false},
		{"a trigger in the wrong order", "mde-offboard.xml",
			taskOf("<Triggers><CalendarTrigger><StartBoundary>2026-01-01T22:00:00</StartBoundary><Enabled>true</Enabled></CalendarTrigger></Triggers>"), false},
		{"values of all types", "mde-offboard.xml", taskOf("<Settings><MultipleInstancesPolicy>Queue</MultipleInstancesPolicy><WakeToRun>0</WakeToRun>" +
			"<ExecutionTimeLimit>P1DT2H30.5S</ExecutionTimeLimit><Priority>10</Priority></Settings>"), true},
		{"a policy that there is not", "mde-offboard.xml", taskOf("<Settings><MultipleInstancesPolicy>ignoreNew</MultipleInstancesPolicy></Settings>"), false},
		{"a boolean of Python's", "mde-offboard.xml", taskOf("<Settings><Enabled>True</Enabled></Settings>"), false},
		{"a boolean that is empty", "mde-offboard.xml", taskOf("<Settings><Enabled/></Settings>"), false},
		{"a length of time in words", "mde-offboard.xml", taskOf("<Settings><ExecutionTimeLimit>9h</ExecutionTimeLimit></Settings>"), false},
		{"a length of time without any", "mde-offboard.xml", taskOf("<Settings><ExecutionTimeLimit>P1DT</ExecutionTimeLimit></Settings>"), false},
		{"a priority that there is not", "mde-offboard.xml", taskOf("<Settings><Priority>11</Priority></Settings>"), false},
		{"a moment in a zone", "mde-offboard.xml", taskOf(startOf("2026-01-01T22:00:00.5+01:00")), true},
		{"a day alone", "mde-offboard.xml", taskOf(startOf("2026-01-01")), false},
		{"a day that there is not", "mde-offboard.xml", taskOf(startOf("2026-02-30T22:00:00")), false},
		{"a crontab", "mde-offboard", "0 22 * * * root true\n", true},
		{"a crontab of a user", "mde-offboard", "0 22 * * * true\n", false},
		{"a minute that no hour has", "mde-offboard", "60 22 * * * root true\n", false},
		{"a percent sign in it", "mde-offboard", "0 22 * * * root date +%F x\n", false},
		{"the least CronJob", "cronjob.yaml", cronjob, true},
		{"a field of it misspelt", "cronjob.yaml", strings.Replace(cronjob, "schedule:", "timezone: UTC, schedule:", 1), false},
		{"a field deep in it misspelt", "cronjob.yaml", strings.Replace(cronjob, "args:", "arg: [], args:", 1), false},
		{"a number where text is wanted", "cronjob.yaml", strings.Replace(cronjob, "[run]", "[1]", 1), false},
		{"a CronJob without a schedule", "cronjob.yaml", strings.Replace(cronjob, "schedule: '0 22 * * *', ", "", 1), false},
		{"a kind that the schema is not of", "cronjob.yaml", strings.Replace(cronjob, "batch/v1", "batch/v1beta1", 1), false},
		{"a policy of restarts that no job may have", "cronjob.yaml", strings.Replace(cronjob, "Never", "Always", 1), false},
		{"the least job of Container Apps", "containerapp-job.yaml", appJob, true},
		{"a field of it misspelt", "containerapp-job.yaml", strings.Replace(appJob, "replicaTimeout", "replicaTimeOut: 1, replicaTimeout", 1), false},
		{"a trigger that Azure does not know", "containerapp-job.yaml", strings.Replace(appJob, "Schedule,", "Nightly,", 1), false},
		{"a field that Azure alone may set", "containerapp-job.yaml", strings.Replace(appJob, "template:", "provisioningState: Succeeded, template:", 1), false},
		{"a job without a schedule", "containerapp-job.yaml", "location: here\nproperties: {}\n", false},
		{"an hour that cronjob.yaml does not know", "cronjob.yaml", strings.Replace(cronjob, "0 22", "0 24", 1), false},
		{"an hour that containerapp-job.yaml does not know", "containerapp-job.yaml", strings.Replace(appJob, "0 22", "0 24", 1), false},
		{"an hour that offboard.yml does not know", "offboard.yml", strings.Replace(workflow, "0 22", "0 24", 1), false},
		{"the least workflow", "offboard.yml", workflow, true},
		{"a field of it misspelt", "offboard.yml", strings.Replace(workflow, "runs-on", "run-on", 1), false},
		{"an event that GitHub does not know", "offboard.yml", strings.Replace(workflow, "schedule:", "nightly: {}, schedule:", 1), false},
		{"a permission that GitHub does not know", "offboard.yml", strings.Replace(workflow, "permissions: {", "permissions: {id_token: write", 1), false},
		{"a step that does nothing", "offboard.yml", strings.Replace(workflow, "run: y", "name: y", 1), false},
		{"a step that does two things", "offboard.yml", strings.Replace(workflow, "run: y", "run: y, uses: a/b@v1", 1), false},
		{"an expression where an expression may be", "offboard.yml", strings.Replace(workflow, "runs-on: x", "runs-on: '${{ inputs.x }}'", 1), true},
		{"an expression where none may be", "offboard.yml", strings.Replace(workflow, "[{cron: '0 22 * * *'}]", "'${{ inputs.x }}'", 1), false},
		{"a workflow with whatever permissions there are", "offboard.yml", strings.Replace(workflow, "permissions: {}\n", "", 1), false},
	}
	for _, tt := range tests {
		wrong := recipes[tt.recipe](t, block{text: tt.text})
		if (len(wrong) == 0) != tt.ok {
			t.Errorf("%s: found %q; want it right: %v", tt.reason, wrong, tt.ok)
		}
	}
}
