package snp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// fakeFirmware answers as the kernel does, and keeps what it was asked.
func fakeFirmware(t *testing.T, status uint32, fail error) (*Device, *[]byte) {
	t.Helper()
	var asked []byte
	return &Device{ioctl: func(request uintptr, p unsafe.Pointer) error {
		arg := (*guestRequest)(p)
		if unsafe.Sizeof(*arg) != 32 || arg.version != 1 {
			t.Errorf("a request of %d bytes, version %d", unsafe.Sizeof(*arg), arg.version)
		}
		if fail != nil {
			arg.firmware = 22
			return fail
		}
		answer := unsafe.Slice((*byte)(arg.resp), answerSize)
		binary.LittleEndian.PutUint32(answer, status)
		switch request {
		case requestKey:
			asked = bytes.Clone(unsafe.Slice((*byte)(arg.req), 32))
			copy(answer[32:], bytes.Repeat([]byte{0xab}, 32))
		case requestReport:
			copy(answer[32+0x180:], []byte{4, 0, 0, 0, 0, 0, 0x18, 0xdb})
		}
		return nil
	}}, &asked
}

func TestDerivedKey(t *testing.T) {
	d, asked := fakeFirmware(t, 0, nil)
	r, err := d.Report()
	if err != nil || r.Reported.String() != "db18000000000004" {
		t.Fatalf("report %+v, %v", r, err)
	}
	tcb := r.Reported
	key, err := d.DerivedKey(tcb.String())
	if err != nil || key != [32]byte(bytes.Repeat([]byte{0xab}, 32)) {
		t.Errorf("key %x, %v", key, err)
	}
	// root key 0 (the chip's), measurement and TCB, VMPL 0, SVN 0, the TCB.
	want := append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 4, 0, 0, 0, 0, 0, 0x18, 0xdb)
	if !bytes.Equal(*asked, want) {
		t.Errorf("asked %x, want %x", *asked, want)
	}
	if _, err := d.DerivedKey("x"); err == nil {
		t.Error("a TCB that is none")
	}
	d, _ = fakeFirmware(t, 0x16, nil)
	if _, err := d.DerivedKey(tcb.String()); err == nil || !strings.Contains(err.Error(), "status 22") {
		t.Errorf("refused: %v", err)
	}
	d, _ = fakeFirmware(t, 0, syscall.EIO)
	if _, err := d.DerivedKey(tcb.String()); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "firmware error 22") {
		t.Errorf("failed: %v", err)
	}
}

func TestNoDevice(t *testing.T) {
	if _, err := os.Stat(DevicePath); err == nil {
		t.Skip("this is a guest of SEV-SNP")
	}
	if _, err := OpenDevice(); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), DevicePath) {
		t.Errorf("without a device: %v", err)
	}
}
