package command

import (
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
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

// TestRecipes checks the files of the README, and that none is missing.
func TestRecipes(t *testing.T) {
	text := readme(t)
	seen := map[string]bool{}
	for _, b := range blocks(text) {
		name := path.Base(b.file())
		check, known := recipes[name]
		if !known {
			continue
		}
		seen[name] = true
		if check == nil {
			continue
		}
		for _, wrong := range check(t, b) {
			t.Errorf("README.md:%d: %s: %s", b.line, name, wrong)
		}
	}
	if !strings.Contains(text, "\n## Recipes\n") {
		return
	}
	for _, name := range sortedKeys(recipes) {
		if !seen[name] {
			t.Errorf("the README has no block whose first line names %s", name)
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
func parseYAML(t *testing.T, b block) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(b.text), &v); err != nil {
		t.Fatalf("README.md:%d: %v", b.line, err)
	}
	return v
}

// checkCron checks the lines of a file for /etc/cron.d: five fields of time, a
// user, and a command without the percent sign, which cron makes a line break.
func checkCron(t *testing.T, b block) (wrong []string) {
	for line := range strings.Lines(b.text) {
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "#") || len(f) == 0:
		case len(f) < 7 || strings.Trim(strings.Join(f[:5], ""), "0123456789*/,-") != "":
			wrong = append(wrong, "no line of a crontab: "+line)
		case strings.Contains(line, "%"):
			wrong = append(wrong, "a percent sign ends the command: "+line)
		}
	}
	return wrong
}

// task is what is checked of a definition for the Task Scheduler beyond its
// structure.
type task struct {
	Version    string `xml:"version,attr"`
	Principals struct {
		Principal struct {
			ID string `xml:"id,attr"`
		}
	}
	Actions struct {
		Context string `xml:"Context,attr"`
		Exec    struct{ Command, Arguments, WorkingDirectory string }
	}
}

func parseTask(t *testing.T, b block) (v task) {
	t.Helper()
	if err := xml.Unmarshal([]byte(b.text), &v); err != nil {
		t.Fatalf("README.md:%d: %v", b.line, err)
	}
	return v
}

const taskNamespace = "http://schemas.microsoft.com/windows/2004/02/mit/task"

// taskElements are the elements that the schema of the Task Scheduler allows
// within another. Where it demands an order, they are in it, and ordered.
var taskElements = map[string]struct {
	children []string
	ordered  bool
}{
	"":                 {children: []string{"Task"}},
	"Task":             {children: []string{"RegistrationInfo", "Triggers", "Settings", "Data", "Principals", "Actions"}},
	"RegistrationInfo": {children: []string{"URI", "SecurityDescriptor", "Source", "Date", "Author", "Version", "Description", "Documentation"}},
	"Triggers":         {children: []string{"CalendarTrigger", "TimeTrigger", "BootTrigger"}},
	"CalendarTrigger": {ordered: true, children: []string{"Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit", "RandomDelay",
		"ScheduleByDay", "ScheduleByWeek", "ScheduleByMonth", "ScheduleByMonthDayOfWeek"}},
	"ScheduleByDay": {children: []string{"DaysInterval"}},
	"Principals":    {children: []string{"Principal"}},
	"Principal":     {children: []string{"UserId", "LogonType", "GroupId", "DisplayName", "RunLevel", "ProcessTokenSidType", "RequiredPrivileges"}},
	"Settings": {children: []string{"AllowStartOnDemand", "RestartOnFailure", "MultipleInstancesPolicy", "DisallowStartIfOnBatteries",
		"StopIfGoingOnBatteries", "AllowHardTerminate", "StartWhenAvailable", "NetworkProfileName", "RunOnlyIfNetworkAvailable", "WakeToRun",
		"Enabled", "Hidden", "DeleteExpiredTaskAfter", "IdleSettings", "NetworkSettings", "ExecutionTimeLimit", "Priority", "RunOnlyIfIdle",
		"UseUnifiedSchedulingEngine", "DisallowStartOnRemoteAppSession"}},
	"Actions": {children: []string{"Exec"}},
	"Exec":    {children: []string{"Command", "Arguments", "WorkingDirectory"}},
}

// checkTask checks a definition against the structure of the Task Scheduler's
// schema.
func checkTask(t *testing.T, b block) (wrong []string) {
	v := parseTask(t, b)
	if v.Version != "1.2" && v.Version != "1.3" {
		wrong = append(wrong, "version "+v.Version)
	}
	if v.Actions.Context != v.Principals.Principal.ID {
		wrong = append(wrong, "the actions' context is no principal")
	}
	if v.Actions.Exec.Command == "" {
		wrong = append(wrong, "no command")
	}
	type open struct {
		name string
		had  []string
	}
	stack := []open{{}}
	for d := xml.NewDecoder(strings.NewReader(b.text)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return wrong
		}
		if err != nil {
			return append(wrong, err.Error())
		}
		switch e := token.(type) {
		case xml.StartElement:
			in := &stack[len(stack)-1]
			rule := taskElements[in.name]
			at := slices.Index(rule.children, e.Name.Local)
			switch {
			case e.Name.Space != taskNamespace:
				wrong = append(wrong, e.Name.Local+" is not in the schema's namespace")
			case at < 0:
				wrong = append(wrong, "no "+e.Name.Local+" may be in "+in.name)
			case slices.Contains(in.had, e.Name.Local):
				wrong = append(wrong, e.Name.Local+" is there twice in "+in.name)
			case rule.ordered && len(in.had) > 0 && slices.Index(rule.children, in.had[len(in.had)-1]) > at:
				wrong = append(wrong, e.Name.Local+" comes too late in "+in.name)
			}
			in.had = append(in.had, e.Name.Local)
			stack = append(stack, open{name: e.Name.Local})
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		}
	}
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
		{"a crontab", "mde-offboard", "0 22 * * * root true\n", true},
		{"a crontab of a user", "mde-offboard", "0 22 * * * true\n", false},
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
