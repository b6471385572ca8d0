package snp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"
)

// DevicePath is where Linux shows a guest its firmware.
const DevicePath = "/dev/sev-guest"

// ErrNoDevice says that this machine is no guest of SEV-SNP, or that the process
// may not use the device.
var ErrNoDevice = errors.New("no SEV-SNP guest device can be used")

// Device asks the firmware (linux: include/uapi/linux/sev-guest.h). It may be used
// from several goroutines.
type Device struct {
	ioctl func(request uintptr, arg unsafe.Pointer) error
}

// The requests: _IOWR('S', 0 and 1, struct snp_guest_request_ioctl).
const (
	requestReport = 0xc0205300
	requestKey    = 0xc0205301
)

// guestRequest is struct snp_guest_request_ioctl.
type guestRequest struct {
	version    uint8
	_          [7]byte
	req, resp  unsafe.Pointer
	firmware   uint32 // its error code
	hypervisor uint32
}

// answerSize is that of the firmware's answers, in bytes.
const answerSize = 4000

// Of the fields that may be mixed into a derived key, its measurement and its
// TCB, as CCF chooses: a key binds the chip, the code, what the host bound at
// launch, and a firmware that is not older.
const fieldsOfKey = 1<<3 | 1<<5

// DerivedKey is the key that only a guest of the same measurement and host data on
// the same chip gets, whose firmware is not older than a TCB version: that one, as
// String writes it (CCF: include/ccf/pal/snp_ioctl6.h). The error says what the
// firmware said.
func (d *Device) DerivedKey(version string) (key [32]byte, err error) {
	tcb, err := parseTCB(version)
	if err != nil {
		return key, err
	}
	var req [32]byte // struct snp_derived_key_req
	binary.LittleEndian.PutUint64(req[8:], fieldsOfKey)
	copy(req[24:], tcb[:])
	answer, err := d.ask(requestKey, req[:])
	if err != nil {
		return key, fmt.Errorf("derive a key: %w", err)
	}
	copy(key[:], answer[32:])
	return key, nil
}

// Report is a report of this guest, about nothing. It is believed: the firmware made
// it.
func (d *Device) Report() (*Report, error) {
	var req [96]byte // struct snp_report_req
	answer, err := d.ask(requestReport, req[:])
	if err != nil {
		return nil, fmt.Errorf("get a report: %w", err)
	}
	return parseReport(answer[32 : 32+ReportSize])
}

func (d *Device) ask(request uintptr, req []byte) ([]byte, error) {
	answer := make([]byte, answerSize)
	arg := &guestRequest{version: 1, req: unsafe.Pointer(&req[0]), resp: unsafe.Pointer(&answer[0])}
	// The kernel follows the pointers within.
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(&req[0])
	pins.Pin(&answer[0])
	if err := d.ioctl(request, unsafe.Pointer(arg)); err != nil {
		return nil, fmt.Errorf("%w (firmware error %d, hypervisor error %d)", err, arg.firmware, arg.hypervisor)
	}
	if status := binary.LittleEndian.Uint32(answer); status != 0 {
		return nil, fmt.Errorf("the firmware refuses: status %d", status)
	}
	return answer, nil
}
