package batch

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mde-offboard/batch/input"
)

func TestResolve(t *testing.T) {
	one, two, three := device("one"), device("two"), device("three")
	record := func(id, name string, change ...func(*Device)) Device {
		d := Device{ID: id, Name: name, Onboarding: "Onboarded", Health: "Active"}
		for _, f := range change {
			f(&d)
		}
		return d
	}
	inactive := func(d *Device) { d.Health = "Inactive" }
	found := func(d *Device) { d.Onboarding = "CanBeOnboarded" }
	merged := func(d *Device) { d.MergedInto = three }
	known := func(id string) func(*Device) { return func(d *Device) { d.EntraID = id } }
	const guid = "54ffec8c-8a3b-5814-accd-77f358e24a5f"
	for _, tc := range []struct {
		reason     string
		row        input.Row
		inventory  []Device
		id, how    string
		candidates []string
	}{
		{"an id stays, known or not", input.Row{ID: one, Name: "lap-9"}, nil, one, ByID, nil},
		{"a short name, a full record", input.Row{Name: "lap-1"}, []Device{record(one, "lap-1.contoso.com"), record(two, "lap-2")}, one, ByName, nil},
		{"a full name, a short record", input.Row{Name: "lap-1.contoso.com"}, []Device{record(one, "lap-1")}, one, ByName, nil},
		{"without case, with domain and dollar", input.Row{Name: `CONTOSO\Lap-1$ `}, []Device{record(one, "LAP-1.contoso.com")}, one, ByName, nil},
		{"a full name of another domain is another device", input.Row{Name: "lap-1.contoso.com"}, []Device{record(one, "lap-1.other.com")}, "", "unresolved: not in the inventory", nil},
		{"a full name chooses between domains", input.Row{Name: "lap-1.contoso.com"}, []Device{record(two, "lap-1.other.com"), record(one, "lap-1.contoso.com")}, one, ByName, nil},
		{"no such name", input.Row{Name: "lap-1"}, []Device{record(one, "lap-10")}, "", "unresolved: not in the inventory", nil},
		{"the only record is inactive", input.Row{Name: "lap-1"}, []Device{record(one, "lap-1", inactive)}, one, ByName, nil},
		{"reimaged: one is active", input.Row{Name: "lap-1"}, []Device{record(one, "lap-1", inactive), record(two, "lap-1"), record(three, "lap-1", found)}, two,
			"by name, the only one of 3 that is onboarded and active", nil},
		{"two are active", input.Row{Name: "lap-1"}, []Device{record(one, "lap-1"), record(two, "lap-1.contoso.com"), record(three, "lap-1", inactive)}, "",
			"unresolved: 3 records, 2 of them onboarded and active", []string{one, two, three}},
		{"two domains: the active one is another device", input.Row{Name: "srv-1"}, []Device{record(one, "srv-1.contoso.com", inactive), record(two, "srv-1.fabrikam.com")}, "",
			"unresolved: 2 records with 2 different names, 1 of them onboarded and active", []string{one, two}},
		{"a domain before the name does not choose between two behind it", input.Row{Name: `CONTOSO\srv-1`}, []Device{record(one, "srv-1.contoso.com", inactive), record(two, "srv-1.fabrikam.com")}, "",
			"unresolved: 2 records with 2 different names, 1 of them onboarded and active", []string{one, two}},
		{"two domains, and a record without one may be of either", input.Row{Name: "srv-1"}, []Device{record(one, "srv-1.contoso.com", inactive), record(two, "srv-1.fabrikam.com", inactive), record(three, "srv-1")}, "",
			"unresolved: 3 records with 2 different names, 1 of them onboarded and active", []string{one, two, three}},
		{"one domain, and a record without one", input.Row{Name: "srv-1"}, []Device{record(one, "SRV-1.contoso.com", inactive), record(two, "srv-1")}, two,
			"by name, the only one of 2 that is onboarded and active", nil},
		{"one domain", input.Row{Name: "srv-1"}, []Device{record(one, "SRV-1.contoso.com"), record(two, "srv-1.contoso.com.", inactive)}, one,
			"by name, the only one of 2 that is onboarded and active", nil},
		{"none is active", input.Row{Name: "lap-1"}, []Device{record(one, "lap-1", inactive), record(two, "lap-1", inactive)}, "",
			"unresolved: 2 records, 0 of them onboarded and active", []string{one, two}},
		{"active and not onboarded is not chosen", input.Row{Name: "lap-1"}, []Device{record(one, "lap-1", found), record(two, "lap-1", inactive)}, "",
			"unresolved: 2 records, 0 of them onboarded and active", []string{one, two}},
		{"a merged record is none", input.Row{Name: "lap-1"}, []Device{record(one, "lap-1", merged), record(two, "lap-1", inactive)}, two, ByName, nil},
		{"only a merged record", input.Row{Name: "lap-1"}, []Device{record(one, "lap-1", merged)}, "", "unresolved: merged into another record", []string{one}},
		{"an Entra id", input.Row{EntraID: strings.ToUpper(guid)}, []Device{record(one, "", known(guid))}, one, ByEntra, nil},
		{"an Entra id in braces", input.Row{EntraID: "{" + guid + "}"}, []Device{record(one, "", known(guid))}, one, ByEntra, nil},
		{"an Entra id comes before the name", input.Row{EntraID: guid, Name: "lap-1"}, []Device{record(two, "lap-1"), record(one, "lap-7", known(guid))}, one, "by Entra device id, and its name is lap-7", nil},
		{"an unknown Entra id, a record of the name without one", input.Row{EntraID: guid, Name: "lap-1"}, []Device{record(one, "lap-1")}, one, ByName, nil},
		{"an unknown Entra id, and the name is another device's", input.Row{EntraID: guid, Name: "lap-1"}, []Device{record(one, "lap-1", known("0f0e28ac-9de0-55d7-8adf-a57d1bffb643"))}, "",
			"unresolved: the device of this name has another Entra id", []string{one}},
		{"an unknown Entra id alone", input.Row{EntraID: guid}, []Device{record(one, "lap-1")}, "", "unresolved: the inventory has no device with this Entra id", nil},
		{"two names of an Entra id", input.Row{EntraID: guid}, []Device{record(one, "lap-1.contoso.com", known(guid), inactive), record(two, "lap-1.fabrikam.com", known(guid))}, "",
			"unresolved: 2 records with 2 different names, 1 of them onboarded and active", []string{one, two}},
		{"two names of an Entra id without a domain", input.Row{EntraID: guid}, []Device{record(one, "lap-1", known(guid), inactive), record(two, "lap-2", known(guid)), record(three, "", known(guid), inactive)}, "",
			"unresolved: 3 records with 2 different names, 1 of them onboarded and active", []string{one, two, three}},
		{"two records of an Entra id", input.Row{EntraID: guid}, []Device{record(one, "lap-1", known(guid)), record(two, "lap-1", known(guid))}, "",
			"unresolved: 2 records, 2 of them onboarded and active", []string{one, two}},
	} {
		got := NewResolver(NewInventory(noon, tc.inventory)).Resolve(tc.row)
		var candidates []string
		for _, c := range got.Candidates {
			candidates = append(candidates, c.ID)
		}
		if got.Device.ID != tc.id || got.How != tc.how || !cmp.Equal(candidates, tc.candidates) {
			t.Errorf("%s: Resolve(%+v) = %q, %q, %v; want %q, %q, %v", tc.reason, tc.row, got.Device.ID, got.How, candidates, tc.id, tc.how, tc.candidates)
		}
	}
}
