package defender

import (
	"encoding/json"
	"strings"
	"time"
)

// Machine is one record of the inventory. Several records may bear one name:
// a device that was reimaged gets a new id.
type Machine struct {
	ID                  string // lower case
	ComputerDNSName     string
	FirstSeen, LastSeen time.Time
	OSPlatform          string // no closed list
	OSVersion, OSBuild  string
	Version             string
	OnboardingStatus    string // Onboarded, CanBeOnboarded, Unsupported, InsufficientInfo; compare without case
	HealthStatus        string
	RiskScore           string
	ExposureLevel       string
	DeviceValue         string
	RBACGroupID         string
	RBACGroupName       string
	AADDeviceID         string
	LastIPAddress       string
	Tags                []string
	// MergedInto is the id of the record that this one was folded into, if any.
	MergedInto string
	// PotentialDuplicate is the service's guess that another record is the same device.
	PotentialDuplicate bool
}

// Onboarded reports whether the service says that the device is onboarded.
func (m Machine) Onboarded() bool { return strings.EqualFold(m.OnboardingStatus, "Onboarded") }

// UnmarshalJSON takes a record as the service writes it.
func (m *Machine) UnmarshalJSON(b []byte) error {
	var w struct {
		ID, ComputerDNSName                       text
		FirstSeen, LastSeen                       moment
		OSPlatform, OSVersion, OSBuild, Version   text
		OnboardingStatus, HealthStatus, RiskScore text
		ExposureLevel, DeviceValue                text
		RBACGroupID, RBACGroupName, AADDeviceID   text
		LastIPAddress, MergedIntoMachineID        text
		MachineTags                               texts
		IsPotentialDuplication                    flag
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*m = Machine{
		ID: strings.ToLower(string(w.ID)), ComputerDNSName: string(w.ComputerDNSName),
		FirstSeen: w.FirstSeen.Time, LastSeen: w.LastSeen.Time,
		OSPlatform: string(w.OSPlatform), OSVersion: string(w.OSVersion), OSBuild: string(w.OSBuild), Version: string(w.Version),
		OnboardingStatus: string(w.OnboardingStatus), HealthStatus: string(w.HealthStatus),
		RiskScore: string(w.RiskScore), ExposureLevel: string(w.ExposureLevel), DeviceValue: string(w.DeviceValue),
		RBACGroupID: string(w.RBACGroupID), RBACGroupName: string(w.RBACGroupName), AADDeviceID: string(w.AADDeviceID),
		LastIPAddress: string(w.LastIPAddress), Tags: w.MachineTags,
		MergedInto: strings.ToLower(string(w.MergedIntoMachineID)), PotentialDuplicate: bool(w.IsPotentialDuplication),
	}
	return nil
}
