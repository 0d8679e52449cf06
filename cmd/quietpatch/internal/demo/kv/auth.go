package kv

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Credentials are what a token says. A token reads
// tenant.scope.expiry.mac, the expiry in Unix seconds, the mac in hex.
type credentials struct {
	tenant string
	scope  string
	signed string
	expiry string
	mac    []byte
}

// token returns a token that the store accepts for the tenant until expiry.
func (s *Store) token(tenant string, expiry time.Time) string {
	signed := tenant + ".search." + strconv.FormatInt(expiry.Unix(), 10)
	return signed + "." + hex.EncodeToString(sign(s.secret, signed))
}

func sign(secret []byte, text string) []byte {
	m := hmac.New(sha256.New, secret)
	_, _ = m.Write([]byte(text)) // never fails: hash.Hash
	return m.Sum(nil)
}

func (c *call) authenticate(secret []byte) *failure {
	if err := c.readToken(); err != nil {
		return err
	}
	if stageStats.Enabled() {
		c.rec.add(stageTokenExpiry)
	}
	expiry, err := strconv.ParseInt(c.auth.expiry, 10, 64)
	if err != nil || c.now.Unix() > expiry {
		return fail(http.StatusUnauthorized, "token: expired at %s", c.auth.expiry)
	}

	if stageStats.Enabled() {
		c.rec.add(stageTokenMAC)
	}
	want := sign(secret, c.auth.signed)

	if stageStats.Enabled() {
		c.rec.add(stageTokenCompare)
	}
	if !hmac.Equal(want, c.auth.mac) {
		return fail(http.StatusUnauthorized, "token: signature does not match")
	}

	if stageStats.Enabled() {
		c.rec.add(stageTokenScope)
	}
	if c.auth.tenant != c.query.tenant {
		return fail(http.StatusForbidden, "token: made for %s, not for %s", c.auth.tenant, c.query.tenant)
	}
	return nil
}

func (c *call) readToken() *failure {
	if stageStats.Enabled() {
		c.rec.add(stageTokenFound)
	}
	if c.query.token == "" {
		return fail(http.StatusUnauthorized, "token: header %s is missing", HeaderToken)
	}

	if stageStats.Enabled() {
		c.rec.add(stageTokenSplit)
	}
	parts := strings.Split(c.query.token, ".")
	if len(parts) != 4 {
		return fail(http.StatusUnauthorized, "token: %d parts, want 4", len(parts))
	}
	c.auth = credentials{
		tenant: parts[0],
		scope:  parts[1],
		expiry: parts[2],
		signed: c.query.token[:len(c.query.token)-len(parts[3])-1],
	}

	if stageStats.Enabled() {
		c.rec.add(stageTokenDecode)
	}
	mac, err := hex.DecodeString(parts[3])
	if err != nil {
		return fail(http.StatusUnauthorized, "token: %v", err)
	}
	c.auth.mac = mac
	return nil
}
