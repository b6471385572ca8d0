package consensus

import (
	"log/slog"

	"synod"
)

const (
	levelInfo = slog.LevelInfo
	levelFail = slog.LevelWarn
)

func attrSeqNo(s synod.SeqNo) slog.Attr { return slog.Uint64("seqno", uint64(s)) }
func attrTx(id synod.TxID) slog.Attr    { return slog.String("tx", id.String()) }
func attrErr(err error) slog.Attr       { return slog.String("err", err.Error()) }
func attrView(v synod.View) slog.Attr   { return slog.Uint64("view", uint64(v)) }
