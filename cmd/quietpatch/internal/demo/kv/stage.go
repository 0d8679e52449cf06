package kv

import (
	"math/bits"

	"github.com/quietpatch/quietpatch/statickey"
)

// KeyName is the name under which the key of the stage statistics is
// registered.
const KeyName = "demo.stage-stats"

// stageStats is the one key of all the checks in this package. A package-level
// variable, so that each check compiles to a compare with a fixed address and
// can be a site.
var stageStats statickey.Bool

var errRegister = statickey.Register(&stageStats, KeyName, "record the stages that each request passes")

// Key returns the key of the stage statistics, and what its registration
// returned.
func Key() (*statickey.Bool, error) { return &stageStats, errRegister }

// A stage is one step of a request.
type stage uint8

const (
	stageMethod stage = iota
	stagePath
	stageQuerySplit
	stageQueryDecode
	stageParams
	stageLimits
	stageHeaders
	stageRequestID

	stageTokenFound
	stageTokenSplit
	stageTokenDecode
	stageTokenExpiry
	stageTokenMAC
	stageTokenCompare
	stageTokenScope

	stageRouteMatch
	stageTenant
	stageACL
	stageQuota
	stageShard
	stagePlan

	stageCacheKey
	stageCacheHash
	stageCacheLock
	stageCacheLookup
	stageCacheTouch
	stageCacheUnlock
	stageFetch
	stageVersion

	stageFields
	stageTokenise
	stageFold
	stageStop
	stageStem
	stageCount
	stageMatch
	stageScore
	stageRank
	stageSnippet
	stageHighlight

	stageChecksum
	stageDigest
	stageMean
	stageVariance
	stageHistogram

	stageEncodeMeta
	stageEncodeHits
	stageEncodeTerms
	stageEncodeJSON
	stageCompress
	stageFlush
	stageLength
	stageETag
	stageCacheControl
	stageAccount
	stageReply

	numStages
)

// StageCount is how many checks of the key every request passes.
const StageCount = int(numStages)

// A record says which stages one request has recorded.
type record struct {
	count uint32
	seen  uint64 // one bit a stage: numStages is at most 64
}

func (r *record) add(s stage) {
	r.count++
	r.seen |= 1 << s
}

// distinct is the number of different stages. It differs from count when a
// check was passed twice.
func (r *record) distinct() int {
	return bits.OnesCount64(r.seen)
}
