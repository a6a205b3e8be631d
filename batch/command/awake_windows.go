package command

import (
	"runtime"

	"golang.org/x/sys/windows"
)

// stayAwake keeps the machine from going to sleep by itself until the function
// that it returns is called. Somebody who closes the lid still sends it to sleep.
func stayAwake() (release func()) {
	const continuous, systemRequired = 0x80000000, 0x00000001
	set := windows.NewLazySystemDLL("kernel32.dll").NewProc("SetThreadExecutionState")
	if set.Find() != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		// The state belongs to a thread, and ends with it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		set.Call(continuous | systemRequired)
		<-done
		set.Call(continuous)
	}()
	return func() { close(done) }
}
