// Package faults tests members that are processes of their own, each with a disk and
// a network of its own, under what machines do to them: kill -9, a stop, a network
// that is cut, one way too, a full disk, a sync that fails, a disk that is lost and
// one that is put back from an old copy; while clients write to and ask all of them.
//
// Networks are namespaces of the kernel and disks are small file systems in memory, so
// the tests need Linux and root; they are skipped, and say why, where there is no such
// thing. Nothing of the machine's own network is touched.
package faults
