package simulator

import (
	"net/http"
	"strings"
	"time"
)

// Machine is a record of the inventory. Only ID is needed; the other zero values become those of an
// active, onboarded Windows 11 device, except that an empty ComputerDNSName is null.
type Machine struct {
	ID               string
	ComputerDNSName  string
	OSPlatform       string // empty: Windows11
	OSVersion        string
	OnboardingStatus string // empty: Onboarded
	HealthStatus     string // empty: Active
	RiskScore        string // empty: None
	ExposureLevel    string // empty: Low
	DeviceValue      string // empty: Normal
	FirstSeen        time.Time
	LastSeen         time.Time
	RbacGroupID      int
	RbacGroupName    string
	AadDeviceID      string
	MachineTags      []string
	LastIPAddress    string

	MergedIntoMachineID    string
	IsPotentialDuplication bool
}

func (m Machine) withDefaults(now time.Time) Machine {
	m.ID = strings.ToLower(m.ID)
	set(&m.OSPlatform, m.OSPlatform == "", "Windows11")
	set(&m.OSVersion, m.OSVersion == "", "24H2")
	set(&m.OnboardingStatus, m.OnboardingStatus == "", "Onboarded")
	set(&m.HealthStatus, m.HealthStatus == "", "Active")
	set(&m.RiskScore, m.RiskScore == "", "None")
	set(&m.ExposureLevel, m.ExposureLevel == "", "Low")
	set(&m.DeviceValue, m.DeviceValue == "", "Normal")
	set(&m.LastSeen, m.LastSeen.IsZero(), now.Add(-6*time.Hour))
	set(&m.FirstSeen, m.FirstSeen.IsZero(), now.Add(-400*24*time.Hour))
	set(&m.MachineTags, m.MachineTags == nil, []string{})
	return m
}

// machineJSON is a machine as the API writes it.
type machineJSON struct {
	Context                string   `json:"@odata.context,omitempty"`
	ID                     string   `json:"id"`
	MergedIntoMachineID    *string  `json:"mergedIntoMachineId"`
	IsPotentialDuplication bool     `json:"isPotentialDuplication"`
	ComputerDNSName        *string  `json:"computerDnsName"`
	FirstSeen              string   `json:"firstSeen"`
	LastSeen               string   `json:"lastSeen"`
	OSPlatform             string   `json:"osPlatform"`
	OSVersion              *string  `json:"osVersion"`
	Version                string   `json:"version"`
	LastIPAddress          *string  `json:"lastIpAddress"`
	HealthStatus           string   `json:"healthStatus"`
	OnboardingStatus       string   `json:"onboardingStatus"`
	DeviceValue            string   `json:"deviceValue"`
	RbacGroupID            int      `json:"rbacGroupId"`
	RbacGroupName          *string  `json:"rbacGroupName"`
	RiskScore              string   `json:"riskScore"`
	ExposureLevel          string   `json:"exposureLevel"`
	IsAadJoined            bool     `json:"isAadJoined"`
	AadDeviceID            *string  `json:"aadDeviceId"`
	MachineTags            []string `json:"machineTags"`
}

func (m *Machine) wire() machineJSON {
	return machineJSON{
		ID: m.ID, MergedIntoMachineID: nullable(m.MergedIntoMachineID), IsPotentialDuplication: m.IsPotentialDuplication,
		ComputerDNSName: nullable(m.ComputerDNSName), FirstSeen: stamp(m.FirstSeen), LastSeen: stamp(m.LastSeen),
		OSPlatform: m.OSPlatform, Version: m.OSVersion, LastIPAddress: nullable(m.LastIPAddress),
		HealthStatus: m.HealthStatus, OnboardingStatus: m.OnboardingStatus, DeviceValue: m.DeviceValue,
		RbacGroupID: m.RbacGroupID, RbacGroupName: nullable(m.RbacGroupName), RiskScore: m.RiskScore,
		ExposureLevel: m.ExposureLevel, IsAadJoined: m.AadDeviceID != "", AadDeviceID: nullable(m.AadDeviceID),
		MachineTags: m.MachineTags,
	}
}

// machineFields are the properties that a filter on machines may name.
var machineFields = map[string]func(*Machine) any{
	"id":               func(m *Machine) any { return m.ID },
	"computerDnsName":  func(m *Machine) any { return orNil(m.ComputerDNSName) },
	"aadDeviceId":      func(m *Machine) any { return orNil(m.AadDeviceID) },
	"machineTags":      func(m *Machine) any { return m.MachineTags },
	"lastSeen":         func(m *Machine) any { return m.LastSeen },
	"onboardingStatus": func(m *Machine) any { return m.OnboardingStatus },
	"healthStatus":     func(m *Machine) any { return m.HealthStatus },
	"osPlatform":       func(m *Machine) any { return m.OSPlatform },
	"version":          func(m *Machine) any { return m.OSVersion },
	"riskScore":        func(m *Machine) any { return m.RiskScore },
	"exposureLevel":    func(m *Machine) any { return m.ExposureLevel },
	"deviceValue":      func(m *Machine) any { return m.DeviceValue },
	"rbacGroupId":      func(m *Machine) any { return float64(m.RbacGroupID) },
	"rbacGroupName":    func(m *Machine) any { return orNil(m.RbacGroupName) },
	"lastIpAddress":    func(m *Machine) any { return orNil(m.LastIPAddress) },
}

// SetMachine adds a record to the inventory or replaces the one with its id.
func (s *Server) SetMachine(m Machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setMachine(m)
}

func (s *Server) setMachine(m Machine) {
	m = m.withDefaults(s.now())
	if old, ok := s.machines[m.ID]; ok {
		*old = m
	} else {
		s.machines[m.ID] = &m
		s.inventory = append(s.inventory, &m)
	}
	s.magicPast(m.ID)
}

// machine finds the record of a device id in lower case, nil if there is none.
func (s *Server) machine(id string) *Machine {
	if m, ok := s.machines[id]; ok {
		return m
	}
	if !s.opts.AnyDevice {
		return nil
	}
	m := Machine{ID: id, ComputerDNSName: "sim-" + id[:8] + ".example.com"}.withDefaults(s.now())
	return &m
}

// getMachine answers GET /api/machines/{id}, which takes a host name too.
func (s *Server) getMachine(c *call) answer {
	if a, bad := refuseQuery(c); bad {
		return a
	}
	var m *Machine
	if isDeviceID(c.id) {
		m = s.machine(strings.ToLower(c.id))
	} else {
		m = s.machineByName(c.id)
	}
	if m == nil || magicOf(m.ID).unknown {
		return refuse(http.StatusNotFound, "ResourceNotFound", "Machine "+c.id+" was not found", "")
	}
	w := m.wire()
	w.Context = c.context("Machines/$entity")
	return jsonAnswer(http.StatusOK, w)
}

func (s *Server) machineByName(name string) *Machine {
	for _, m := range s.inventory {
		if m.ComputerDNSName != "" && strings.EqualFold(m.ComputerDNSName, name) {
			return m
		}
	}
	return nil
}

// listMachines answers GET /api/machines. An empty page is 404, as documented for an empty list.
func (s *Server) listMachines(c *call) answer {
	q, err := parseQuery(c.query, fieldNames(machineFields), nil)
	if err != nil {
		return refuse(http.StatusBadRequest, "ODataError", err.Error(), "query")
	}
	var found []*Machine
	for _, m := range s.inventory {
		if q.keep(func(field string) any { return machineFields[field](m) }) {
			found = append(found, m)
		}
	}
	low, high := q.page(len(found))
	if low == high {
		return refuse(http.StatusNotFound, "ResourceNotFound", "No machines were found", "")
	}
	list := listJSON{Context: c.context("Machines"), Next: q.next(c, high, len(found)), Value: make([]any, 0, high-low)}
	for _, m := range found[low:high] {
		list.Value = append(list.Value, m.wire())
	}
	return jsonAnswer(http.StatusOK, list)
}
