package snp

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// OpenDevice returns the guest device. The error wraps ErrNoDevice.
func OpenDevice() (*Device, error) {
	f, err := os.OpenFile(DevicePath, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	return &Device{ioctl: ioctl}, f.Close()
}

func ioctl(request uintptr, arg unsafe.Pointer) error {
	f, err := os.OpenFile(DevicePath, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	defer f.Close()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
