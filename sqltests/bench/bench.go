// Package bench measures arbor and its parts. Its benchmarks make their data
// themselves, with package dataset.
package bench
