package bundle

// Texts are the bundle's modules by name.
func (b *Bundle) Texts() map[string]string {
	texts := make(map[string]string, len(b.Modules))
	for _, m := range b.Modules {
		texts[m.Name] = m.Source
	}
	return texts
}
