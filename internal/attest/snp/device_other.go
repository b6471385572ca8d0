//go:build !linux

package snp

// OpenDevice returns ErrNoDevice.
func OpenDevice() (*Device, error) { return nil, ErrNoDevice }
