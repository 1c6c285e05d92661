//go:build gms_pure_go

// Package build_with_make_or_add__tags_gms_pure_go is empty. Its name is what a
// plain go build prints: without the tag gms_pure_go the SQL library would ask
// for a C library of regular expressions, and the reader for its headers. With
// the tag the build needs no C compiler at all. The Makefile sets it.
package build_with_make_or_add__tags_gms_pure_go
