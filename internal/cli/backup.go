package cli

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/archive"
	"synod/internal/arm"
	"synod/internal/armclient"
)

func newBackup(env *Env) *cobra.Command {
	return newGroup("backup", "Backups of networks: make, schedule, list, verify, restore, rehearse",
		newBackupCreate(env), newBackupList(env), newBackupSchedule(env), newBackupRestore(env), newBackupTest(env), newBackupVerify(env), newBackupDelete(env))
}

// storeHelp explains addresses of backup stores.
const storeHelp = `A backup store is named by an address: store:NAME for one that the server was
started with (store:default is in its data directory), file:///DIRECTORY for a
directory that the server allows, or s3://KEY:SECRET@BUCKET/PREFIX?endpoint=HOST.`

func newBackupCreate(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Back a network up now",
		Long: `Has the network end its ledger file and take a snapshot, copies both to a store,
reads them back and verifies every entry, root and signature.

` + storeHelp,
		Example: "  synod backup create bank",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	to := c.Flags().String("to", "", "address of the store, if not the network's own")
	noWait := c.Flags().Bool("no-wait", false, "do not wait until it is done")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, path, done, err := name.dialAt(cmd, argv)
		if err != nil {
			return err
		}
		defer done()
		call := armclient.Call{Method: http.MethodPost, Path: path + "/backup", In: arm.BackupInput{URI: *to}}
		return n.message(ctx, cl, call, *noWait, p)
	}
	return c
}

func newBackupList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "list [NAME]",
		Short:   "List the backups of a network, or all of a store",
		Long:    "Lists backups, newest first.\n\n" + storeHelp,
		Example: "  synod backup list bank\n  synod backup list",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n := newControl(env, c)
	in := c.Flags().String("in", "", "address of the store")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		network := ""
		if len(argv) > 0 {
			network = argv[0]
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		backups := []arm.BackupRecord{}
		address := n.subscriptionPath() + "/providers/Microsoft.ConfidentialLedger/backups" + queryOf("uri", *in, "network", network)
		if err := armclient.List(ctx, cl, address, func(b arm.BackupRecord) error {
			backups = append(backups, b)
			return nil
		}); err != nil {
			return err
		}
		rows := make([][]string, len(backups))
		for i, b := range backups {
			kind := "on demand"
			if b.Continual {
				kind = "continuous"
			}
			rows[i] = []string{b.Share, path.Base(b.Network), b.At.Local().Format(time.DateTime), strconv.FormatUint(b.Seqno, 10), strconv.FormatInt(b.SizeBytes, 10), kind}
		}
		return p.table(backups, []string{"backup", "network", "made", "last entry", "bytes", "kind"}, rows)
	}
	return c
}

func newBackupSchedule(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "schedule [NAME]",
		Short: "Say when a network is backed up, and where to",
		Long: `Sets how often backups are made, how many are kept, and whether committed ledger
files are copied as soon as they are there, so that no more than the open one can
be lost.

` + storeHelp,
		Example: "  synod backup schedule bank --every 24h --keep 7 --continuous",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	f := c.Flags()
	every := f.String("every", "", "time between backups, for instance 24h; 0 for none")
	keep := f.Int("keep", 0, "how many to keep; 0 for all")
	continuous := f.Bool("continuous", false, "copy committed ledger files as they come")
	to := f.String("to", "", "address of the store")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		path, err := name.path(cmd, argv)
		if err != nil {
			return err
		}
		var policy backupPolicy
		if f.Changed("every") {
			if *every == "0" {
				*every = ""
			}
			policy.Every = every
		}
		if f.Changed("keep") {
			policy.Keep = keep
		}
		if f.Changed("continuous") {
			policy.Continuous = continuous
		}
		if f.Changed("to") {
			policy.Target = to
		}
		if policy == (backupPolicy{}) {
			return usagef(cmd, "say what to change: --every, --keep, --continuous or --to")
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var net networkResource
		patch := map[string]any{"properties": map[string]any{"backupPolicy": policy}}
		if err := n.write(ctx, cl, armclient.Call{Method: http.MethodPatch, Path: path, In: patch}, false, &net); err != nil {
			return err
		}
		return p.line(net.Properties.Backup, "%s", describePolicy(net.Properties.Backup))
	}
	return c
}

func describePolicy(b *backupPolicy) string {
	if b == nil {
		return "no backups are made"
	}
	text := "no scheduled backups"
	if b.Every != nil && *b.Every != "" {
		text = "a backup every " + *b.Every
		if b.Keep != nil && *b.Keep > 0 {
			text += fmt.Sprintf(", the last %d are kept", *b.Keep)
		}
	}
	if b.Continuous != nil && *b.Continuous {
		text += "; ledger files are copied as they are committed"
	}
	return text
}

func newBackupRestore(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "restore NAME BACKUP",
		Short: "Make a network of a backup, under its old name or a new one",
		Long: `Makes the network NAME of a backup that "synod backup list" shows. The backup is
verified first. The service gets a new identity that endorses the old one, so
receipts from before still verify; transactions keep their numbers.

A network of that name must be gone, or --in-place must be given: then it is
replaced, once the backup has been verified.

Its members vote to open it and send their recovery shares (synod recovery), as
after every loss of all nodes; "synod network health" says for whom it waits.

` + storeHelp,
		Example: "  synod backup restore bank2 bank-20260501-120000\n  synod backup restore bank bank-20260501-120000 --in-place",
		Args:    args(cobra.ExactArgs(2)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	f := c.Flags()
	from := f.String("from", "", "address of the store")
	inPlace := f.Bool("in-place", false, "replace the network that there is")
	nodes := f.Int("node-count", 0, "how many nodes, if not as before")
	location := f.StringP("location", "l", "", "where the network is to be, a label")
	noWait := f.Bool("no-wait", false, "do not wait until its nodes are there")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, path, done, err := name.dialAt(cmd, argv[:1])
		if err != nil {
			return err
		}
		defer done()
		if err := n.ensureGroup(ctx, cl, orDefault(*location, defaultLocation)); err != nil {
			return err
		}
		body := map[string]any{"fileShareName": argv[1], "inPlace": *inPlace}
		if *from != "" {
			body["uri"] = *from
		}
		if *location != "" {
			body["restoreRegion"] = *location
		}
		if *nodes != 0 {
			body["nodeCount"] = *nodes
		}
		op, err := n.operate(ctx, cl, armclient.Call{Method: http.MethodPost, Path: path + "/restore", In: body}, *noWait, nil)
		if err != nil || op == nil {
			return err
		}
		var net networkResource
		if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodGet, Path: path}, &net); err != nil {
			return err
		}
		if p.format == formatJSON {
			return p.json(net)
		}
		printNetwork(p, &net)
		return nil
	}
	return c
}

func newBackupTest(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "test NAME [BACKUP]",
		Short: "Rehearse a restore: bring a backup up beside the network, check it, throw it away",
		Long: `Fetches the backup, or the last one, verifies it, starts a node that recovers
from it, and compares what the node serves with what the backup says. Private
data stays closed: that takes members' shares.`,
		Example: "  synod backup test bank",
		Args:    args(cobra.RangeArgs(1, 2)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	from := c.Flags().String("from", "", "address of the store")
	noWait := c.Flags().Bool("no-wait", false, "do not wait until it is done")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		path, err := name.path(cmd, argv[:1])
		if err != nil {
			return err
		}
		body := map[string]any{}
		if len(argv) > 1 {
			body["fileShareName"] = argv[1]
		}
		if *from != "" {
			body["uri"] = *from
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		return n.message(ctx, cl, armclient.Call{Method: http.MethodPost, Path: path + "/rehearse", In: body}, *noWait, p)
	}
	return c
}

func newBackupVerify(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "verify ADDRESS BACKUP",
		Short: "Verify a backup without the managed service",
		Long: `Fetches a backup from a store, file:///DIRECTORY or s3://…, and verifies every file
against the manifest and every entry, root and signature of its ledger. Exit code
3 means that it is damaged. With --to the files are kept: a node can recover from
them, and CCF's tools read them.`,
		Example: "  synod backup verify file:///srv/backups bank-20260501-120000",
		Args:    args(cobra.ExactArgs(2)),
	}
	p := newPrinter(env, c)
	to := c.Flags().String("to", "", "new directory for the files")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		policy := archive.Policy{Roots: []string{"/"}, S3: true}
		st, err := policy.Open(argv[0])
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		var check *archive.Check
		if *to != "" {
			check, err = archive.Fetch(cmd.Context(), st, argv[1], *to, nil)
		} else {
			check, err = archive.Verify(cmd.Context(), st, argv[1], "", nil)
		}
		if err != nil {
			return backupError(err)
		}
		return p.line(check, "verified: %d files, %d bytes, %d entries, signed up to %s", check.Files, check.Bytes, check.Entries, check.Good)
	}
	return c
}

func newBackupDelete(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "delete ADDRESS BACKUP",
		Short:   "Delete a backup from a store",
		Long:    "Deletes a backup. There is no way back.\n\n" + storeHelp,
		Example: "  synod backup delete file:///srv/backups bank-20260501-120000 --yes",
		Args:    args(cobra.ExactArgs(2)),
	}
	p := newPrinter(env, c)
	yes := c.Flags().BoolP("yes", "y", false, "do not ask")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		policy := archive.Policy{Roots: []string{"/"}, S3: true}
		st, err := policy.Open(argv[0])
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		if !*yes {
			if err := confirm(env, argv[1]); err != nil {
				return err
			}
		}
		if err := archive.Delete(cmd.Context(), st, argv[1]); err != nil {
			return err
		}
		return p.line(map[string]string{"name": argv[1], "state": "deleted"}, "%s: deleted", argv[1])
	}
	return c
}

// backupError gives damage its exit code.
func backupError(err error) error {
	if errors.Is(err, archive.ErrDamaged) {
		return withHint(&unverified{err}, "keep what is left, and restore from another backup")
	}
	return err
}
