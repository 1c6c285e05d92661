package peer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// SecretSize is that of the secret that lets one member in.
const SecretSize = 16

// Token is what a member joins by: it says which cluster it is, by whose
// certificate the cluster is known, and opens it once. As text it is "arbor1."
// and, in base64 for URLs,
//
//	┌─────────┬─────┬────────────┬────────┬───────────────────────┐
//	│ cluster │ pin │ gossip key │ secret │ CRC32C of all before  │
//	│ 16      │ 32  │ 32         │ 16     │ 4, LE                 │
//	└─────────┴─────┴────────────┴────────┴───────────────────────┘
type Token struct {
	Cluster   MemberID
	Pin       [sha256.Size]byte
	GossipKey [GossipKeySize]byte
	Secret    [SecretSize]byte
}

const (
	tokenPrefix = "arbor1."
	tokenSize   = 16 + sha256.Size + GossipKeySize + SecretSize + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewToken draws a token's secret. It opens nothing until its hash is among the
// metadata's secrets.
func (t *Trust) NewToken() Token {
	k := Token{Cluster: t.Cluster, Pin: t.Pin()}
	copy(k.GossipKey[:], t.GossipKey)
	rand.Read(k.Secret[:]) // never gives an error
	return k
}

// Hash is what the metadata keeps of the secret.
func (k *Token) Hash() [sha256.Size]byte { return sha256.Sum256(k.Secret[:]) }

// String is the token as text. It is secret.
func (k *Token) String() string {
	b := make([]byte, 0, tokenSize)
	b = append(b, k.Cluster[:]...)
	b = append(b, k.Pin[:]...)
	b = append(b, k.GossipKey[:]...)
	b = append(b, k.Secret[:]...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads what String wrote. Its errors do not repeat the text.
func ParseToken(text string) (k Token, err error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	if !ok {
		return k, fmt.Errorf("%w: it does not begin with %q", ErrToken, tokenPrefix)
	}
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(b) != tokenSize {
		return k, fmt.Errorf("%w: it was cut, or something was added", ErrToken)
	}
	body := b[:tokenSize-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[tokenSize-4:]) {
		return k, fmt.Errorf("%w: a character is another", ErrToken)
	}
	body = body[copy(k.Cluster[:], body):]
	body = body[copy(k.Pin[:], body):]
	body = body[copy(k.GossipKey[:], body):]
	copy(k.Secret[:], body)
	return k, nil
}
