package exec

import (
	"bytes"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// wideSums are the sums of the rows before each, in 128 bits.
type wideSums struct {
	low  []uint64
	high []int64
	// earlier is the sum of rows that are not here, and before all that are.
	earlierLow  uint64
	earlierHigh int64
}

func newWideSums(values []int64) wideSums {
	s := wideSums{low: make([]uint64, len(values)+1), high: make([]int64, len(values)+1)}
	for i, v := range values {
		low, carry := bits.Add64(s.low[i], uint64(v), 0)
		s.low[i+1], s.high[i+1] = low, s.high[i]+v>>63+int64(carry)
	}
	return s
}

// between is the sum of the rows [lo, hi) and of earlier ones, and as a 64 bit integer if
// it is one.
func (s wideSums) between(lo, hi int32) (low uint64, high int64, fits bool) {
	low, borrow := bits.Sub64(s.low[hi], s.low[lo], 0)
	low, carry := bits.Add64(low, s.earlierLow, 0)
	high = s.high[hi] - s.high[lo] - int64(borrow) + s.earlierHigh + int64(carry)
	return low, high, high == int64(low)>>63
}

// large is a sum as a big integer.
func large(low uint64, high int64) *big.Int {
	n := big.NewInt(high)
	return n.Add(n.Lsh(n, 64), new(big.Int).SetUint64(low))
}

// sumExact adds up integers or decimals.
func (b *windowBlock) sumExact(f *WindowFunction, frames *windowFrames) (arrow.Array, error) {
	scale := 0
	if b.plan.Types[f.Arg] == catalog.TypeDecimal {
		scale = f.ArgScale
	}
	run := b.before.fromStart()
	values, err := b.flat(f.Arg, scale)
	if err == errLargeDecimal || err == nil && run != nil && run.large != nil {
		return b.sumLarge(f, frames, scale)
	}
	if err != nil {
		return nil, err
	}
	before, err := b.nullsBefore(f.Arg)
	if err != nil {
		return nil, err
	}
	ints := values.ints
	if values.nulls != nil { // what stands for a null may be anything
		ints = make([]int64, len(values.ints))
		for i, v := range values.ints {
			if !values.nulls[i] {
				ints[i] = v
			}
		}
	}
	sums, earlier := newWideSums(ints), int64(0)
	if run != nil {
		sums.earlierLow, sums.earlierHigh, earlier = run.low, run.high, run.count
		defer run.summed(sums, before, frames)
	}
	if f.Op == WindowSum && b.plan.Types[f.Arg] != catalog.TypeDecimal {
		if a, fits := b.wholeSums(sums, earlier, before, frames); fits {
			return a, nil
		}
	}
	out := &sumTexts{average: f.Op == WindowAverage, scale: scale, digits: f.Scale}
	for i := range b.rows {
		count := earlier + frames.counts(before, i)
		if count == 0 {
			out.null()
			continue
		}
		if low, high, fits := sums.between(frames.lo[i], frames.hi[i]); fits {
			out.add(int64(low), count)
		} else {
			out.addLarge(large(low, high), count)
		}
	}
	return out.array(), nil
}

// sumLarge is sumExact for decimals of any size. It adds up each frame anew, but for
// what a frame has in common with the one before if that is its beginning.
func (b *windowBlock) sumLarge(f *WindowFunction, frames *windowFrames, scale int) (arrow.Array, error) {
	units := make([]*big.Int, 0, b.rows)
	for i := range b.segments {
		a := b.segments[i].columns[f.Arg]
		at, err := valuesOf(a, catalog.TypeDecimal)
		if err != nil {
			return nil, err
		}
		for k := range a.Len() {
			v := at(k)
			if v.Kind == catalog.KindNull {
				units = append(units, nil)
				continue
			}
			n, ok := scaled(v.Text, scale)
			if !ok {
				return nil, fmt.Errorf("%w: %q is no decimal with %d digits behind the point", ErrArray, v.Text, scale)
			}
			units = append(units, n)
		}
	}
	out := &sumTexts{average: f.Op == WindowAverage, scale: scale, digits: f.Scale}
	sum, count, lo, hi := new(big.Int), int64(0), int32(0), int32(0)
	run := b.before.fromStart()
	if run != nil {
		sum, count = run.total(), run.count
		defer func() { run.large, run.count = sum, count }()
	}
	for i := range b.rows {
		if frames.lo[i] < lo || frames.lo[i] > hi || frames.hi[i] < hi {
			lo, hi, count = frames.lo[i], frames.lo[i], 0
			sum.SetInt64(0)
		}
		for ; lo < frames.lo[i]; lo++ {
			if units[lo] != nil {
				sum.Sub(sum, units[lo])
				count--
			}
		}
		for ; hi < frames.hi[i]; hi++ {
			if units[hi] != nil {
				sum.Add(sum, units[hi])
				count++
			}
		}
		if count == 0 {
			out.null()
		} else {
			out.addLarge(sum, count)
		}
	}
	return out.array(), nil
}

// wholeSums are sums of integers, if all of them are 64 bit integers.
func (b *windowBlock) wholeSums(sums wideSums, earlier int64, before []int32, frames *windowFrames) (a arrow.Array, fits bool) {
	values, valid := make([]int64, b.rows), []byte(nil)
	for i := range values {
		if earlier+frames.counts(before, i) == 0 {
			valid = unset(valid, b.rows, i)
			continue
		}
		low, _, fits := sums.between(frames.lo[i], frames.hi[i])
		if !fits {
			return nil, false
		}
		values[i] = int64(low)
	}
	return int64Array(values, valid), true
}

// sumTexts are sums or averages of exact numbers as decimals: one word for equal ones
// that follow each other.
type sumTexts struct {
	average bool
	scale   int // of the sums
	digits  int // of the averages
	words   *array.StringBuilder
	codes   *array.Int32Builder
	last    []byte
	text    []byte
}

func (s *sumTexts) begin() {
	if s.words == nil {
		s.words, s.codes = array.NewStringBuilder(goMemory), array.NewInt32Builder(goMemory)
	}
}

func (s *sumTexts) null() {
	s.begin()
	s.codes.AppendNull()
}

func (s *sumTexts) append(text []byte) {
	s.begin()
	if s.words.Len() == 0 || !bytes.Equal(text, s.last) {
		s.words.BinaryBuilder.Append(text)
		s.last = append(s.last[:0], text...)
	}
	s.codes.Append(int32(s.words.Len() - 1))
}

func (s *sumTexts) array() arrow.Array {
	s.begin()
	t := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	return array.NewDictionaryArray(t, s.codes.NewArray(), s.words.NewArray())
}

// narrow bounds sums whose averages are computed in 64 bits.
const narrow = 1 << 47

// add adds the sum of so many numbers.
func (s *sumTexts) add(sum, count int64) {
	scale := s.scale
	if s.average {
		more := s.digits - s.scale
		if sum > narrow || sum < -narrow || more < 0 || more > 4 {
			s.addLarge(big.NewInt(sum), count)
			return
		}
		for range more {
			sum *= 10
		}
		half := count / 2
		if sum < 0 {
			half = -half
		}
		// Half of an odd count rounded down is enough: no quotient is in between.
		sum, scale = (sum+half)/count, s.digits
	}
	s.text = appendScaled(s.text[:0], sum, scale)
	s.append(s.text)
}

// addLarge is add for any sum.
func (s *sumTexts) addLarge(sum *big.Int, count int64) {
	scale := s.scale
	if s.average {
		n := new(big.Int).Abs(sum)
		power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(s.digits-s.scale, 0))), nil)
		n.Mul(n, power)
		n.Add(n.Lsh(n, 1), big.NewInt(count))
		n.Quo(n, new(big.Int).Lsh(big.NewInt(count), 1))
		if sum.Sign() < 0 {
			n.Neg(n)
		}
		sum, scale = n, max(s.digits, s.scale)
	}
	s.append([]byte(scaledText(sum, scale)))
}

// scaledText is an integer in units of a scale's last digit as a decimal.
func scaledText(n *big.Int, scale int) string {
	text := new(big.Int).Abs(n).String()
	for len(text) <= scale {
		text = "0" + text
	}
	if scale > 0 {
		text = text[:len(text)-scale] + "." + text[len(text)-scale:]
	}
	if n.Sign() < 0 {
		return "-" + text
	}
	return text
}

// appendScaled is scaledText for a 64 bit integer.
func appendScaled(dst []byte, n int64, scale int) []byte {
	if scale == 0 {
		return strconv.AppendInt(dst, n, 10)
	}
	u := uint64(n)
	if n < 0 {
		dst, u = append(dst, '-'), -u
	}
	var room [32]byte
	digits := strconv.AppendUint(room[:0], u, 10)
	for pad := scale + 1 - len(digits); pad > 0; pad-- {
		dst = append(dst, '0')
		if pad == scale+1-len(digits) {
			dst = append(dst, '.')
		}
	}
	if whole := len(digits) - scale; whole > 0 {
		dst = append(append(dst, digits[:whole]...), '.')
		digits = digits[whole:]
	}
	return append(dst, digits...)
}

// sumDoubles adds up doubles: in millionths as long as all are such, and else exactly
// as what they are. The sum is rounded once.
func (b *windowBlock) sumDoubles(f *WindowFunction, frames *windowFrames) (arrow.Array, error) {
	values, err := b.flat(f.Arg, 0)
	if err != nil {
		return nil, err
	}
	before, err := b.nullsBefore(f.Arg)
	if err != nil {
		return nil, err
	}
	run, earlier := b.before.fromStart(), int64(0)
	units, plain := make([]int64, b.rows), run == nil
	for i, v := range values.doubles {
		if !plain {
			break
		}
		if !values.isNull(i) {
			units[i], plain = millionths(v)
		}
	}
	var sum func(lo, hi int32) float64
	switch {
	case run != nil: // what was added up goes on
		run.doubles.values, run.doubles.lo, run.doubles.hi = values, 0, 0
		earlier, sum = run.count, run.doubles.between
		defer run.counts(before, frames)
	case plain:
		sums := newWideSums(units)
		sum = func(lo, hi int32) float64 {
			low, high, fits := sums.between(lo, hi)
			if n := int64(low); fits && n <= 1<<53 && n >= -1<<53 {
				return float64(n) / million
			}
			d, _ := new(big.Rat).SetFrac(large(low, high), big.NewInt(million)).Float64()
			return d
		}
	default:
		sum = (&slidingSum{values: values}).between
	}
	out, valid := make([]float64, b.rows), []byte(nil)
	for i := range out {
		count, of := earlier+frames.counts(before, i), sum(frames.lo[i], frames.hi[i])
		switch {
		case count == 0:
			valid = unset(valid, b.rows, i)
		case f.Op == WindowAverage:
			out[i] = of / float64(count)
		default:
			out[i] = of
		}
	}
	return doubleArray(out, valid), nil
}

// slidingSum is the sum of a frame of doubles, to which what comes in is added and from
// which what falls out is taken off.
type slidingSum struct {
	values *flat
	lo, hi int32
	units  int64
	other  exactSum
}

func (s *slidingSum) between(lo, hi int32) float64 {
	if lo < s.lo || lo > s.hi || hi < s.hi {
		s.lo, s.hi, s.units, s.other = lo, lo, 0, exactSum{}
	}
	for ; s.lo < lo; s.lo++ {
		s.add(s.lo, -1)
	}
	for ; s.hi < hi; s.hi++ {
		s.add(s.hi, 1)
	}
	return s.value()
}

func (s *slidingSum) add(row int32, sign float64) {
	if s.values.isNull(int(row)) {
		return
	}
	v := sign * s.values.doubles[row]
	if unit, ok := millionths(v); ok && s.units < 1<<62 && s.units > -1<<62 {
		s.units += unit
		return
	}
	s.other.addTimes(v, 1)
}

func (s *slidingSum) value() float64 {
	switch {
	case s.other.special != 0:
		return s.other.special
	case s.other.zero() && s.units <= 1<<53 && s.units >= -1<<53:
		return float64(s.units) / million
	case s.units == 0 && s.other.rest == nil:
		return s.other.rounded()
	}
	exact, _ := s.other.exact().Rat(nil)
	d, _ := exact.Add(exact, new(big.Rat).SetFrac64(s.units, million)).Float64()
	return d
}
