// Package transfers is an application: banks of a consortium hold accounts and
// move money between them. Balances are private, each transfer is claimed, so
// that its receipt proves it to whoever is shown the transfer.
//
// It is a module of its own, to show what an application needs: the packages
// synod/app, synod/serve and, to test, synod/app/apptest.
//
// Reading order: app.go, account.go, transfer.go.
package transfers
