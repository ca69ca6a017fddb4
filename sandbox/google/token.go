package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

const tokenPrefix = "ya29.sandbox." // Google's own begin with ya29.

// newToken signs an identity and the time at which the token ends.
func newToken(key []byte, identity string, ends time.Time) string {
	payload := strconv.FormatInt(ends.Unix(), 10) + " " + identity
	return tokenPrefix + encode([]byte(payload)) + "." + encode(sign(key, payload))
}

// identityOf is false for a token that was not made with this key, or has ended.
func identityOf(key []byte, token string, now time.Time) (identity string, ok bool) {
	text, signature, found := strings.Cut(strings.TrimPrefix(token, tokenPrefix), ".")
	payload, err := base64.RawURLEncoding.DecodeString(text)
	given, badSignature := base64.RawURLEncoding.DecodeString(signature)
	if !found || err != nil || badSignature != nil || !hmac.Equal(given, sign(key, string(payload))) {
		return "", false
	}
	until, identity, _ := strings.Cut(string(payload), " ")
	ends, err := strconv.ParseInt(until, 10, 64)
	return identity, err == nil && now.Unix() < ends
}

func sign(key []byte, payload string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(payload))
	return mac.Sum(nil)
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
