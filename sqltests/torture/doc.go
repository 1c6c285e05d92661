// Package torture drives the engine through histories that no user would live
// through and compares it, after every step, with the plain list of package
// oracle: the rows themselves, all columns and all copies, not their number.
//
//	go test ./sqltests/torture                        a few hundred histories
//	go test ./sqltests/torture -histories=10000       make torture
//	go test ./sqltests/torture -run TestHistories -seed=77 -histories=1
//	                                                  history 77 again
//
// A history is a seed: everything random follows from it. When one fails, the
// test drops operations for as long as it goes on failing and prints what is
// left, with the -ops flag that runs just these.
//
// It holds tests only.
package torture
